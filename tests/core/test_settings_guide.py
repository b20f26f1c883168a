"""The guide names every setting as the code has it."""

from pathlib import Path
from typing import Any

import attrs
import pytest

from novitai_sdk import Settings
from novitai_sdk import settings as code
from novitai_sdk.settings import Limits

ROOT = Path(__file__).parents[2]
FIELDS = {field.name: field for field in attrs.fields(Settings)}
IN_WORDS = {"store": "a file of this account in the user's state directory"}
COUNTED = {"max_connections": "requests", "degraded_depth": "jobs"}


def rows_of(page: str, heading: str) -> list[list[str]]:
    """The cells of each row of the tables below a heading."""
    text = (ROOT / page).read_text(encoding="utf-8").partition(f"# {heading}\n")[2]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def variable(name: str) -> str:
    return f"`{code._variable(name)}`" if code._RULES[name].read else ""


def shown(name: str, default: Any) -> str:
    """What the guide calls a default."""
    if default is attrs.NOTHING:
        return "required"
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, int | float):
        return f"{default:g}"
    if isinstance(default, str | tuple):
        text = default if isinstance(default, str) else ",".join(map(str, default))
        return f"`{text}`" if text else IN_WORDS.get(name, "none")
    assert default == type(default)()
    return f"`{type(default).__name__}()`"


def unit(name: str) -> str:
    is_time = code._RULES[name].check in (code._seconds, code._seconds_or_none)
    return "s" if is_time else COUNTED.get(name, "")


def test_the_guide_names_every_setting_with_its_variable_its_default_and_its_unit() -> None:
    expected = {
        f"`{name}`" + (" *" if name in Limits.__annotations__ else ""): [
            variable(name),
            shown(name, field.default),
            unit(name),
        ]
        for name, field in FIELDS.items()
    }
    rows = rows_of("docs/settings.md", "Settings")
    assert {row[0]: row[1:4] for row in rows} == expected
    assert len(rows) == len(expected)
    assert all(row[4] for row in rows)


@pytest.mark.parametrize("row", rows_of("README.md", "Settings"), ids=lambda row: row[0].strip("`"))
def test_the_readme_names_settings_that_there_are(row: list[str]) -> None:
    name = row[0].strip("`")
    assert row[1] == variable(name)
    if unit(name):
        assert row[2] == shown(name, FIELDS[name].default)
