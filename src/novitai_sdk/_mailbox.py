"""The way of calls from any thread into an event loop."""

from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager, suppress
from threading import Lock, local
from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary, ref

from ._doorbell import Doorbell, doorbell
from ._inherited import Inherited
from ._loops import current_loop, on_trio

if TYPE_CHECKING:
    from asyncio import SelectorEventLoop

__all__ = ["Mailbox", "OneWake", "hang_up", "kept", "mailbox", "mailbox_of"]


class _Held(local):
    """The mailboxes that this thread is to empty later, if it answers many just now."""

    mailboxes: "list[Mailbox] | None" = None


_held = _Held()


class OneWake:
    """Wake each event loop once, at the end, for all that this thread posts inside.

    Woken by the first of a hundred answers, a loop would take the interpreter's lock for it, and so for each.
    """

    # Not a generator made into one: this is entered with each flush of a disk, which somebody waits for.
    __slots__ = ()

    def __enter__(self) -> None:
        _held.mailboxes = []

    def __exit__(self, *_: object) -> None:
        boxes, _held.mailboxes = _held.mailboxes, None
        for box in boxes or ():
            box.hop()


class Mailbox:
    """Carries calls from any thread into one event loop; those of one moment in one hop.

    A hop wakes the loop through a system call. A store that answers a hundred callers after one flush would otherwise
    spend more on waking the loop than on the answers.
    """

    def __init__(self, hop: Callable[[Callable[[], None]], object]) -> None:
        self._hop = hop
        self._bell: Doorbell | None = None
        self.keepers = 0
        self._calls: list[Callable[[], object]] = []
        self.begin_anew()
        _in_this_process.add(self)

    def begin_anew(self) -> None:
        """After a fork, somebody in the parent may hold the lock."""
        self._lock = Lock()

    def post(self, call: Callable[[], object]) -> None:
        """Have *call* run in the loop; after the loop has ended nobody waits there, and nothing happens."""
        with self._lock:
            self._calls.append(call)
            first = len(self._calls) == 1
        if not first:
            return
        held = _held.mailboxes
        if held is None:
            self.hop()
        else:
            held.append(self)

    def hop(self) -> None:
        """Wake the loop, for what was posted."""
        bell = self._bell
        if bell is None:
            self._hop(self._deliver)
        else:
            bell.ring()

    def listen(self, loop: Hashable) -> None:
        """Have the running *loop* woken in a way that costs less, if there is one."""
        self._bell = doorbell(loop, self._deliver)

    def hang_up(self, loop: Hashable) -> None:
        """Have the running *loop* woken by its own means again."""
        bell, self._bell = self._bell, None
        if bell is not None:
            bell.hang_up(cast("SelectorEventLoop", loop))
            # Whoever has posted already may ring where nobody listens now.
            self._deliver()

    def _deliver(self) -> None:
        with self._lock:
            calls, self._calls = self._calls, []
        for call in calls:
            call()


_mailboxes: "WeakKeyDictionary[Hashable, Mailbox]" = WeakKeyDictionary()
# Those that were hung up, too: whoever waited then still posts to them.
_in_this_process = Inherited(Mailbox.begin_anew)


def mailbox() -> Mailbox:
    """Return the mailbox of the running event loop."""
    return mailbox_of(current_loop())


@contextmanager
def kept() -> Generator[Mailbox, None, None]:
    """The mailbox of the running event loop, for who posts to it for long; nobody hangs up before the last of them."""
    box = mailbox()
    box.keepers += 1
    try:
        yield box
    finally:
        box.keepers -= 1
        hang_up()


def hang_up() -> None:
    """Let go of what the system keeps for the mailbox of the running event loop, unless somebody keeps that.

    Whoever waits there is told all the same, and whoever comes next has it made anew.
    """
    loop = current_loop()
    box = _mailboxes.get(loop)
    if box is not None and not box.keepers:
        del _mailboxes[loop]
        box.hang_up(loop)


def mailbox_of(loop: Hashable) -> Mailbox:
    """Return the mailbox of the running event *loop*, for who knows already which that is."""
    found = _mailboxes.get(loop)
    if found is None:
        found = _mailboxes[loop] = Mailbox(_hop_into(loop))
        found.listen(loop)
    return found


def _hop_into(loop: Hashable) -> Callable[[Callable[[], None]], object]:
    # A weak reference: the mailbox is kept as long as the loop is, and must not be what keeps it.
    known = ref(loop)
    if on_trio():
        import trio

        def hop_to_trio(call: Callable[[], None]) -> None:
            token = known()
            with suppress(trio.RunFinishedError):
                if isinstance(token, trio.lowlevel.TrioToken):
                    token.run_sync_soon(call)

        return hop_to_trio
    import asyncio

    def hop_to_asyncio(call: Callable[[], None]) -> None:
        running = known()
        try:
            if isinstance(running, asyncio.AbstractEventLoop):
                running.call_soon_threadsafe(call)
        except RuntimeError:  # the loop is closed
            return

    return hop_to_asyncio
