"""How a wait shows itself: a bar, a line that rewrites itself, or nothing."""

import logging
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from decimal import Decimal
from shutil import get_terminal_size
from typing import Protocol, TextIO, cast

import attrs

from ..models import InstanceStatus

__all__ = ["OnProgress", "WaitProgress", "reporter"]

_log = logging.getLogger("novitai_sdk")


@attrs.frozen(kw_only=True)
class WaitProgress:
    """Where a wait stands."""

    instance_id: str
    status: InstanceStatus
    phase: str | None
    """The cloud's own word for what the machine is doing, such as ``pulling``."""

    elapsed: float
    """Seconds since the wait began."""

    timeout: float
    """Seconds after which it gives up."""

    cost: Decimal | None = None
    """USD the instance has cost since it was created, at most."""

    def __str__(self) -> str:
        doing = self.phase or self.status.value
        cost = f", at most ${self.cost:.4f} so far" if self.cost is not None else ""
        return f"{self.instance_id}: {doing}, {self.elapsed:.0f} s of {self.timeout:.0f} s{cost}"


OnProgress = Callable[[WaitProgress], object]


class Reporter(Protocol):
    """Shows a wait while it lasts; *live* tells whether it wants to be told of time passing."""

    live: bool

    def __enter__(self) -> "Reporter": ...
    def __exit__(self, *_: object) -> None: ...
    def show(self, progress: WaitProgress) -> None: ...


class _Silent:
    live = False

    def __enter__(self) -> "_Silent":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, progress: WaitProgress) -> None:
        return None


class _Unimportant(_Silent):
    """Shows a wait for as long as that works: a pipe whose reader went away must not end a rental."""

    live = True

    def __init__(self, reporter: Reporter) -> None:
        self._reporter: Reporter | None = reporter

    def show(self, progress: WaitProgress) -> None:
        if self._reporter is not None:
            with self._as_far_as_it_goes():
                self._reporter.show(progress)

    def __exit__(self, *_: object) -> None:
        if self._reporter is not None:
            with self._as_far_as_it_goes():
                self._reporter.__exit__(None, None, None)

    @contextmanager
    def _as_far_as_it_goes(self) -> Generator[None, None, None]:
        try:
            yield
        # Gone, closed, of an encoding that lacks a sign, or a stand-in that raises what it likes.
        except Exception as error:  # noqa: BLE001 - see above
            self._reporter = None
            _log.debug("the progress of a wait can no longer be shown: %s", error)


class _Line(_Silent):
    """One line of text: rewritten in place on a terminal, one for each new phase elsewhere."""

    def __init__(self, stream: TextIO, *, live: bool) -> None:
        self._stream = stream
        self._live = live
        self._width = 0
        self._phase: object = None

    def show(self, progress: WaitProgress) -> None:
        text = str(progress)
        if self._live:
            # A line that wraps cannot be taken back by a carriage return.
            text = text[: get_terminal_size().columns - 1]
            # Padded: what the last text wrote beyond the end of this one must go.
            self._stream.write("\r" + text.ljust(self._width))
            self._width = len(text)
        elif self._phase != (progress.phase, progress.status):
            self._stream.write(text + "\n")
        self._phase = (progress.phase, progress.status)
        self._stream.flush()

    def __exit__(self, *_: object) -> None:
        if self._width:
            self._stream.write("\n")
            self._stream.flush()


class _Bar(_Silent):
    def __init__(self, stream: TextIO) -> None:
        from tqdm.auto import tqdm

        class Bar(tqdm):  # type: ignore[type-arg]  # generic in its stubs only
            # tqdm's watcher is a thread that outlives every bar; a wait leaves none behind.
            monitor_interval = 0

        self._bar = Bar(bar_format="{desc} [{elapsed}]", file=stream, leave=True)

    def show(self, progress: WaitProgress) -> None:
        self._bar.set_description_str(str(progress))

    def __exit__(self, *_: object) -> None:
        self._bar.close()


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel."""
    return "ipykernel" in sys.modules


def reporter(wanted: bool | None, stream: TextIO | None = None) -> Reporter:
    """Return what shows a wait.

    *wanted*: True shows it, False does not, None shows it where somebody is watching: on a terminal or in a notebook.
    A bar is drawn with tqdm where that is installed, otherwise a line of text is written; both go to stderr.
    """
    # None in programs that have no stderr, such as services and those run by pythonw.
    stream = cast("TextIO | None", sys.stderr) if stream is None else stream
    if wanted is False or stream is None or _is_closed(stream):
        return _Silent()
    live = _is_terminal(stream)
    if not (live or in_notebook()):
        return _Unimportant(_Line(stream, live=False)) if wanted else _Silent()
    try:
        return _Unimportant(_Bar(stream))
    except ImportError:
        pass
    except Exception as error:  # noqa: BLE001 - a bar writes, and warns, as soon as it is made
        _log.debug("the progress of a wait cannot be shown as a bar: %s", error)
    return _Unimportant(_Line(stream, live=live))


# What programs put in the place of stderr, to have it in their log, often knows how to write and nothing else.


def _is_closed(stream: TextIO) -> bool:
    try:
        return bool(getattr(stream, "closed", False))
    except Exception:  # noqa: BLE001 - its buffer was taken away, or it raises what it likes
        return True


def _is_terminal(stream: TextIO) -> bool:
    try:
        asked = getattr(stream, "isatty", None)
        return asked is not None and bool(asked())
    except Exception:  # noqa: BLE001 - as above
        return False
