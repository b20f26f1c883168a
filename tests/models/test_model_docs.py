"""The field tables of the guide are those of the code."""

from pathlib import Path

import attrs
import pytest

from novitai_sdk import models

GUIDE = Path(__file__).parents[2] / "docs" / "models.md"
MODELS = [value for name in models.__all__ if attrs.has(value := getattr(models, name))]


def rows_of(name: str) -> list[list[str]]:
    """The cells of the rows below the heading of one model."""
    _, _, after = GUIDE.read_text(encoding="utf-8").partition(f"### {name}\n")
    section = after.partition("\n#")[0].replace("\\|", "/")
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_the_guide_names_every_field_and_whether_it_is_required(model: type) -> None:
    expected = []
    for field in attrs.fields(model):
        first, *rest = field.name.split("_")
        name = field.metadata.get("wire", first + "".join(map(str.capitalize, rest)))
        if name is not None and not field.metadata.get("extra"):
            required = "yes" if field.default is attrs.NOTHING else ""
            expected.append((field.name, name, required))
    assert [(row[0], row[1], row[3]) for row in rows_of(model.__name__)] == expected


def test_the_guide_explains_every_field() -> None:
    silent = [
        (model.__name__, row[0])
        for model in MODELS
        for row in rows_of(model.__name__)
        if not (row[2] and row[5])
    ]
    assert not silent
