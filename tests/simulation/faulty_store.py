"""A store as one process sees it: slow, now and then in trouble, and deaf to some of what it is told."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import attrs
from ledger import Ledger
from world import Killed, Process, Violation, World

from novitai_sdk.jobs import (
    Batch,
    Change,
    Claim,
    JobError,
    Offer,
    Store,
    StoreBusy,
    StoreError,
    StoreFull,
)

SOON = 20.0
GLANCE = 0.5  # seconds until another process's commit is seen


@attrs.frozen(kw_only=True)
class Faults:
    """How often what goes wrong; all zero when the storm is over."""

    trouble: float = 0.0
    lost_wakeups: float = 0.0
    needless_wakeups: float = 0.0
    slow: float = 0.0
    slowest: float = 0.0
    kill_after_effect: float = 0.0


class Desk:
    """One real store, and all that happens to it, in order.

    What the store's threads do is over before a call returns, so that their timing decides nothing.
    """

    def __init__(self, world: World, ledger: Ledger, real: Store, *, threads: bool) -> None:
        self.world = world
        self.ledger = ledger
        self.real = real
        self.threads = threads
        self.heard: list[float] = []
        self.cancelled = False
        self.since_audit = 0
        real.on_work(self.heard.append)

    def do(self, name: str, arguments: tuple[Any, ...]) -> "Future[Any]":
        """Have the real store do it; answer when all of it is done, announcements too."""
        del self.heard[:]
        self.cancelled = False
        answer: Future[Any] = getattr(self.real, name)(*arguments)
        error = answer.exception(SOON)
        if self.threads:
            # Announcements come after the answer and before the next operation is begun.
            self.real.commit(Change()).result(SOON)
        self._tell_ledger(name, arguments, None if error else answer.result(), error)
        return answer

    def announced(self) -> float | None:
        """When the earliest job is due that the last operation announced; 0 when it took one from its worker."""
        if self.cancelled:
            return 0.0
        # 0 is the news of another process, which comes when its thread happens to look: the world brings it instead.
        return min((due for due in self.heard if due or not self.threads), default=None)

    def _tell_ledger(
        self, name: str, arguments: tuple[Any, ...], result: Any, error: BaseException | None
    ) -> None:
        ledger = self.ledger
        if isinstance(error, StoreError) or (error and not isinstance(error, JobError)):
            raise Violation(f"{name}{arguments} failed in a store that is well: {error!r}")
        if name == "commit":
            ledger.committed(*arguments) if error is None else ledger.refused(*arguments, error)
        elif error is None and name == "settle":
            for settlement, refusal in zip(*arguments, result, strict=True):
                change = Change(settle=settlement)
                ledger.committed(change) if refusal is None else ledger.refused(change, refusal)
        elif error is None and name == "claim":
            ledger.claimed(self, *arguments, result)
        elif error is None and name == "renew":
            ledger.renewed(*arguments, result)
        elif error is None and name == "cancel":
            self.cancelled = ledger.cancelled(arguments[0])
        elif error is None and name == "lost":
            ledger.asked(*arguments, result)
        elif error is None and name == "retry":
            ledger.retried(*arguments)
        self.since_audit += 1
        if self.since_audit >= 16:
            self.since_audit = 0
            ledger.audit()
        else:
            ledger.count()


class FaultyStore:
    """The port of one process. What is asked takes its time, in order; a killed process's questions are not asked."""

    def __init__(self, desk: Desk, process: Process, others: "Sequence[FaultyStore]") -> None:
        self.desk = desk
        self.process = process
        self.faults = Faults()
        self._world = desk.world
        self._others = others
        self._listeners: dict[int, Callable[[float], None]] = {}
        self._free_at = 0.0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.desk.real, name)
        return (lambda *arguments: self._ask(name, arguments)) if callable(found) else found

    def commit(self, change: Change) -> "Future[None]":
        return self._ask("commit", (change,))

    def claim(
        self,
        owner: str,
        limit_by_type: Mapping[str, int],
        now: float,
        lease: float,
        offer: Offer | None = None,
        monotonic: float | None = None,
    ) -> "Future[Batch]":
        # An offer need not be taken up, and here it never is: all goes by announcements, which can be lost.
        return self._ask("claim", (owner, dict(limit_by_type), now, lease, None, monotonic))

    def renew(self, claims: Sequence[Claim], now: float, lease: float) -> "Future[frozenset[str]]":
        return self._ask("renew", (tuple(claims), now, lease))

    def on_work(self, listener: Callable[[float], None]) -> Callable[[], None]:
        token = self._world.number()
        self._listeners[token] = listener
        return lambda: self._listeners.pop(token, None) and None

    def close(self, timeout: float | None = None) -> None:
        raise AssertionError("the runner does not own the store")

    # What becomes of a question

    def _ask(self, name: str, arguments: tuple[Any, ...]) -> "Future[Any]":
        if not self.process.alive:
            raise Killed
        answer: Future[Any] = Future()
        # One writer takes what waits in order; reads may overtake in life, but here nobody depends on that.
        self._free_at = max(self._free_at, self._world.now + self._delay())
        self._later(
            self._free_at - self._world.now, lambda: self._take_effect(name, arguments, answer)
        )
        return answer

    def _take_effect(self, name: str, arguments: tuple[Any, ...], answer: "Future[Any]") -> None:
        if not answer.set_running_or_notify_cancel():
            self._world.note(f"{self.process.name} {name}: no longer wanted")
            return
        if self._world.chance(self.faults.trouble):
            kind = self._world.rng.choice((StoreBusy, StoreFull))
            self._world.note(f"{self.process.name} {name}: {kind.__name__}")
            self._later(self._delay(), lambda: answer.set_exception(kind("by order")))
            return
        self._world.note(f"{self.process.name} {name} {_short(arguments)}")
        done = self.desk.do(name, arguments)
        self._world.note(
            f"{self.process.name} {name} -> {_short(done.exception() or done.result())}"
        )
        self._announce(self.desk.announced())
        self._later(self._delay(), lambda: _hand_over(done, answer))
        if self._world.chance(self.faults.kill_after_effect):
            self._world.after(0.0, None, lambda: self.kill())

    def kill(self) -> None:
        """Replaced by whoever knows how to kill this process."""

    def _announce(self, due: float | None) -> None:
        for port in (self, *(one for one in self._others if one is not self)):
            if due is not None and port.process.alive:
                abroad = port.desk is not self.desk
                if not self._world.chance(self.faults.lost_wakeups):
                    port.hear(0.0 if abroad else due, GLANCE if abroad else 0.002)
        if self._world.chance(self.faults.needless_wakeups):
            self.hear(0.0, 1.0)

    def hear(self, due: float, within: float) -> None:
        """Tell the listeners of this process of work, *within* seconds."""
        for token in tuple(self._listeners):
            self._later(self._world.rng.uniform(0.0, within), lambda t=token: self._tell(t, due))

    def _tell(self, token: int, due: float) -> None:
        if token in self._listeners:
            self._listeners[token](due)

    def _later(self, delay: float, do: Callable[[], None]) -> None:
        self._world.after(delay, self.process, do)

    def _delay(self) -> float:
        if self._world.chance(self.faults.slow):
            return self._world.rng.uniform(0.0, self.faults.slowest)
        return self._world.rng.uniform(0.0, 0.002)


def _hand_over(done: "Future[Any]", answer: "Future[Any]") -> None:
    error = done.exception()
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(done.result())


def _short(value: object) -> str:
    """*value* for the trace: jobs by their ids."""
    if isinstance(value, Claim):
        return f"{value.job.id}#{value.number}"
    if isinstance(value, Batch):
        return f"{_short(value.claims)} next {value.next_due}"
    if isinstance(value, Change):
        parts = (
            [f"settle {_short(value.settle.claim)} {type(value.settle.outcome).__name__}"]
            if value.settle
            else []
        )
        parts += [f"held {_short(value.held)}"] if value.held else []
        parts += [f"write {one.kind} {one.key}" for one in value.all_writes()]
        parts += [f"add {one.job.id} p{int(one.job.priority)}" for one in value.all_jobs()]
        return ", ".join(parts)
    if isinstance(value, tuple):
        return "(" + "; ".join(_short(one) for one in value) + ")"
    if isinstance(value, frozenset):
        return str(sorted(value))
    return str(value)
