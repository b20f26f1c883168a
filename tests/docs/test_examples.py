"""Every example in the README, the guides and the docstrings runs, and says what it claims."""

from collections.abc import Iterator
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

from novitai_sdk.emulator import Emulator

ROOT = Path(__file__).parents[2]
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = [path for path in sorted((ROOT / "src").rglob("*.py")) if ">>>" in path.read_text()]
OPTIONS = ELLIPSIS | NORMALIZE_WHITESPACE

texts = Sybil(parsers=[PythonCodeBlockParser(doctest_optionflags=OPTIONS), SkipParser()])
docstrings = Sybil(
    parsers=[DocTestParser(OPTIONS)], document_types={".py": PythonDocStringDocument}
)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a reader has set up: a key, and a cloud it opens."""
    with Emulator() as emulator:
        monkeypatch.setenv("NOVITA_API_KEY", emulator.api_key)
        monkeypatch.setenv("NOVITAI_BASE_URL", emulator.base_url)
        monkeypatch.setenv("NOVITAI_STORE", "memory")
        yield


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("path", TEXTS, ids=named)
def test_the_examples_of_the_text_run(path: Path) -> None:
    for example in texts.parse(path).examples():
        example.evaluate()


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_the_examples_in_the_docstrings_run(path: Path) -> None:
    for example in docstrings.parse(path).examples():
        example.evaluate()
