"""How a wait shows itself: where somebody watches, in one line, and leaving nothing behind."""

import builtins
import io
import sys
import threading
import warnings
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest
from faces import WANTED

from novitai_sdk import InstanceStatus
from novitai_sdk.instances import WaitProgress
from novitai_sdk.instances._progress import reporter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def moment(phase: str | None, elapsed: float = 0.0, cost: Decimal | None = None) -> WaitProgress:
    return WaitProgress(
        instance_id="inst_1",
        status=InstanceStatus.CREATING,
        phase=phase,
        elapsed=elapsed,
        timeout=60.0,
        cost=cost,
    )


STORY = [moment(None), moment("pulling", 1.0), moment("pulling", 2.0), moment("running", 3.0)]


def shown(wanted: bool | None, stream: Any) -> str:
    with reporter(wanted, stream) as report:
        for one in STORY:
            report.show(one)
    return str(stream.getvalue())


@pytest.fixture
def without_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "tqdm":
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)


@pytest.fixture
def in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))


def test_a_moment_reads_as_a_sentence():
    assert str(moment(None)) == "inst_1: creating, 0 s of 60 s"
    told = str(moment("pulling", 12.3, Decimal("0.00125")))
    assert told == "inst_1: pulling, 12 s of 60 s, at most $0.0012 so far"


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_false_is_silent_everywhere(stream, in_a_notebook):
    assert shown(False, stream()) == ""


def test_nobody_watches_a_file(without_tqdm):
    assert shown(None, io.StringIO()) == ""


def test_a_file_gets_one_line_for_each_phase_when_told_to():
    assert shown(True, io.StringIO()).splitlines() == [
        "inst_1: creating, 0 s of 60 s",
        "inst_1: pulling, 1 s of 60 s",
        "inst_1: running, 3 s of 60 s",
    ]


@pytest.mark.parametrize("wanted", [True, None])
def test_a_terminal_gets_one_line_that_rewrites_itself(wanted, without_tqdm):
    text = shown(wanted, Terminal())
    assert text.count("\n") == 1
    assert text.endswith("inst_1: running, 3 s of 60 s\n")
    assert text.count("\r") == len(STORY)


def test_a_shorter_text_leaves_nothing_of_a_longer_one(without_tqdm):
    stream = Terminal()
    with reporter(True, stream) as report:
        report.show(moment("a very long phase indeed"))
        report.show(moment("up"))
    longer, shorter = stream.getvalue().rstrip("\n").split("\r")[1:]
    assert len(shorter) == len(longer)


def test_a_line_never_wraps_for_then_it_could_not_be_rewritten(without_tqdm, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    lines = shown(True, Terminal()).replace("\n", "").split("\r")
    assert max(map(len, lines)) <= 19


def test_a_terminal_without_a_wait_stays_empty(without_tqdm):
    stream = Terminal()
    with reporter(True, stream):
        pass
    assert stream.getvalue() == ""


@pytest.mark.parametrize("wanted", [True, None])
def test_tqdm_draws_where_it_is_installed_and_leaves_no_thread(wanted):
    before = threading.active_count()
    text = shown(wanted, Terminal())
    assert "inst_1: running, 3 s of 60 s [00:0" in text
    assert text.count("\n") == 1
    assert threading.active_count() == before


def test_a_notebook_is_watched_though_it_is_no_terminal(in_a_notebook):
    assert "inst_1: running" in shown(None, io.StringIO())


def test_a_notebook_without_tqdm_gets_lines(in_a_notebook, without_tqdm):
    assert len(shown(None, io.StringIO()).splitlines()) == 3


def test_without_any_stream_there_is_nothing_to_write_to(monkeypatch):
    # pythonw and services have no stderr at all.
    monkeypatch.setattr(sys, "stderr", None)
    for wanted in (True, False, None):
        with reporter(wanted) as report:
            report.show(moment(None))


def test_a_stream_that_was_closed_does_not_end_a_wait(without_tqdm):
    stream = Terminal()
    stream.close()
    for wanted in (True, None):
        with reporter(wanted, stream) as report:
            report.show(moment(None))


def test_a_reader_that_went_away_does_not_end_a_wait(without_tqdm):
    class Broken(Terminal):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with reporter(True, Broken()) as report:
        report.show(moment(None))


class OnlyWrites:
    """What programs put in the place of stderr to have it in their log."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


def taken_apart() -> io.TextIOWrapper:
    stream = io.TextIOWrapper(io.BytesIO())
    stream.detach()
    return stream


class KnowsNoTerminal(OnlyWrites):
    def isatty(self) -> bool:
        raise NotImplementedError


class KnowsNoEnd(OnlyWrites):
    @property
    def closed(self) -> bool:
        raise NotImplementedError


@pytest.mark.parametrize("stand_in", [OnlyWrites, taken_apart, KnowsNoTerminal, KnowsNoEnd])
@pytest.mark.parametrize("wanted", [True, None])
def test_whatever_stands_in_for_stderr_does_not_end_a_wait(monkeypatch, stand_in, wanted):
    stream = stand_in()
    monkeypatch.setattr(sys, "stderr", stream)
    with reporter(wanted) as report:
        report.show(moment(None))
    if stand_in in (OnlyWrites, KnowsNoTerminal):
        assert stream.text == ("inst_1: creating, 0 s of 60 s\n" if wanted else "")


@pytest.mark.parametrize("bar", [True, False])
def test_a_terminal_that_raises_what_it_likes_does_not_end_a_wait(bar, request):
    if not bar:
        request.getfixturevalue("without_tqdm")

    class Odd(Terminal):
        def write(self, text: str) -> int:
            raise LookupError("my own terminal")

    with reporter(True, Odd()) as report:
        report.show(moment(None))


def test_a_bar_that_warns_where_warnings_are_errors_gives_way_to_a_line(monkeypatch):
    # As tqdm does in a notebook without ipywidgets.
    monkeypatch.setattr(
        "novitai_sdk.instances._progress._Bar",
        lambda _: warnings.warn("IProgress not found", stacklevel=2),
    )
    assert shown(True, Terminal()).endswith("inst_1: running, 3 s of 60 s\n")


@pytest.mark.parametrize(("progress", "told"), [(True, True), (False, False), (None, False)])
def test_a_wait_shows_itself_on_stderr_as_told(face, capsys, progress, told):
    async def story(client: Any, done: Any) -> None:
        made = await done(client.instances.create(**WANTED))
        heard: list[WaitProgress] = []
        await done(made.wait_until_ready(timeout=10, progress=progress, on_progress=heard.append))
        assert heard[-1].status == "running"
        assert [one.elapsed for one in heard] == sorted(one.elapsed for one in heard)

    face.tell(story)
    out, err = capsys.readouterr()
    assert out == ""
    assert bool(err) is told
    assert not told or "running" in err.splitlines()[-1]
