"""Waiting for an instance to be of use."""

import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from .._calling import Mode
from .._promise import Promise, fulfil
from ..cloud import CloudStatus, Phase
from ..errors import (
    CallError,
    CreateOutcomeUnknown,
    InstanceFailed,
    WaitTimedOut,
)
from ..jobs import Record
from ..models import InstanceStatus
from ._backstage import PASSING, Backstage
from ._errors import no_record
from ._instance import Instance, cost_so_far, of_managed
from ._jobs import TIMED_OUT
from ._life import ENDED, READY
from ._progress import OnProgress, WaitProgress, reporter
from ._records import Managed, at, read_record
from ._ticks import look_after

if TYPE_CHECKING:
    from ._operations import Operations

__all__ = ["wait_for_unmanaged", "wait_until_ready"]

_log = logging.getLogger("novitai_sdk")

# Seconds between two words on a wait that somebody follows, so that it does not look dead.
_WORD: Final = 1.0

# Seconds within which a machine that was just started may still be shown as stopped.
_STARTS_WITHIN: Final = 30.0

# Changes are announced, those of another process on the same file too. A net, should that ever fail.
_LOOK_AGAIN: Final = 30.0


async def wait_until_ready(
    back: Backstage[Mode],
    owner: "Operations[Mode]",
    instance_id: str,
    *,
    timeout: float,
    progress: bool | None,
    on_progress: OnProgress | None,
    rented: bool,
) -> Instance[Mode]:
    """Wait until the record of an instance says that it is ready; see `Instance.wait_until_ready`.

    One that is *rented* is given back by whoever waits, if it does not become so.
    """
    started = back.waiter.monotonic()
    with _word_left(instance_id), reporter(progress) as shown:
        while True:
            record = await back.read(instance_id)
            if record is None:
                raise no_record(instance_id)
            managed = read_record(record)
            elapsed = back.waiter.monotonic() - started
            now = WaitProgress(
                instance_id=instance_id,
                status=managed.status,
                phase=managed.phase,
                elapsed=elapsed,
                timeout=timeout,
                cost=_cost(managed, back),
            )
            shown.show(now)
            if on_progress is not None:
                on_progress(now)
            if managed.status in READY:
                return of_managed(managed, owner)
            if managed.status in ENDED:
                raise _failed(managed, now, owner, rented=rented)
            # Before the deadline is looked at: a dead runner is a better reason than time.
            back.check_runner()
            if elapsed >= timeout:
                raise _too_late(
                    managed, now, owner, rented=rented, trouble=back.recent.trouble(managed.id)
                )
            followed = on_progress is not None or shown.live
            longest = _WORD if followed else _LOOK_AGAIN
            await _next_change(back, record, min(longest, timeout - elapsed))


async def wait_for_unmanaged(
    back: Backstage[Mode],
    look: Callable[[float], Awaitable[Instance[Mode]]],
    *,
    timeout: float,
    progress: bool | None,
    on_progress: OnProgress | None,
) -> Instance[Mode]:
    """Wait for a machine that no job follows, by looking at it."""
    started = back.waiter.monotonic()
    one: Instance[Mode] | None = None
    with reporter(progress) as shown:
        while True:
            trouble: CallError | None = None
            try:
                one = await look(timeout - (back.waiter.monotonic() - started))
            except PASSING as error:
                if one is None:
                    raise
                trouble = error  # one failed look says nothing about the machine; the deadline does
            elapsed = back.waiter.monotonic() - started
            now = WaitProgress(
                instance_id=one.id,
                status=one.status,
                phase=one.phase,
                elapsed=elapsed,
                timeout=timeout,
            )
            shown.show(now)
            if on_progress is not None:
                on_progress(now)
            if one.status in READY:
                return one
            if _is_over(one, elapsed):
                raise _unmanaged_failed(one, now)
            if elapsed >= timeout:
                raise _unmanaged_too_late(one, now, trouble)
            followed = on_progress is not None or shown.live
            pause = look_after(elapsed, back.settings.poll_interval)
            await back.waiter.sleep(min(pause, _WORD if followed else pause, timeout - elapsed))


def _is_over(one: Instance[Mode], elapsed: float) -> bool:
    """Whether a machine that no job follows will not become ready."""
    if one.status is InstanceStatus.TERMINATED:
        return True
    # After a start a machine is still shown as it was for a moment, and an old failure told of for longer.
    phase = CloudStatus(one.phase).phase if one.phase is not None else None
    moves = one.status is InstanceStatus.FAILED and phase is Phase.PROVISIONING
    return one.status in ENDED and elapsed >= _STARTS_WITHIN and not moves


@contextmanager
def _word_left(instance_id: str) -> Generator[None, None, None]:
    try:
        yield
    except KeyboardInterrupt:
        # Whoever presses Ctrl-C may think that this ends the machine too.
        _log.warning(
            "the wait for instance %s was interrupted; it goes on, and bills until it is deleted",
            instance_id,
        )
        raise


async def _next_change(back: Backstage[Mode], record: Record, timeout: float) -> None:
    """Wait until *record* has changed, or nobody would change it any more, for *timeout* seconds at most."""
    woken: Promise[None] = Promise()

    def wake(*_: object) -> None:
        fulfil(woken, None)

    changed = back.store.changed(record.kind, record.key, record.version)
    changed.add_done_callback(wake)
    forget = back.runner.on_end(wake)
    try:
        back.check_runner()  # it may have died just before
        await back.waiter.result(woken, timeout)
    except TimeoutError:
        return
    finally:
        forget()
        changed.cancel()
    if not changed.cancelled():
        await back.waiter.result(changed)  # a closed store says so


def _cost(managed: Managed, back: Backstage[Mode]) -> Decimal | None:
    return cost_so_far(
        managed.hourly_price, managed.state.timestamps.created, at(back.waiter.time())
    )


def _failed(
    managed: Managed, now: WaitProgress, owner: "Operations[Mode]", *, rented: bool
) -> InstanceFailed:
    reason = managed.why or f"it is {managed.status}"
    exists = (
        managed.state.novita_instance_id is not None
        and managed.status is not InstanceStatus.TERMINATED
    )
    bills = "; the machine still exists and may bill: delete it" if exists and not rented else ""
    return InstanceFailed(
        f"instance {managed.id} will not become ready: {reason}{bills}",
        instance_id=managed.id,
        last=of_managed(managed, owner),
        phase=now.phase,
        elapsed=now.elapsed,
        cost=now.cost,
        reason=reason,
        code="STARTUP_TIMEOUT" if reason.startswith(TIMED_OUT) else managed.code,
    )


def _too_late(
    managed: Managed,
    now: WaitProgress,
    owner: "Operations[Mode]",
    *,
    rented: bool,
    trouble: str | None,
) -> WaitTimedOut:
    doing = now.phase or now.status
    blind = f". The last look at it failed: {trouble}" if trouble is not None else ""
    if managed.intent is not None:
        kind: type[WaitTimedOut] = CreateOutcomeUnknown
        lost = managed.intent.lost
        how = "is not there yet" if lost is None else f"was lost ({lost})"
        why = (
            f"the answer to its create {how} and no machine with "
            f"NOVITAI_INSTANCE_ID={managed.id} has been seen yet: it may exist and bill. A job goes on looking; "
            "call wait_until_ready() again, or delete()"
        )
    else:
        kind = WaitTimedOut
        bills = (
            "No machine was rented yet, and a job goes on trying"
            if managed.unborn
            else "It goes on, and bills"
        )
        goes_on = "It is given back" if rented else f"{bills}: wait again, or delete()"
        why = f"last seen {doing}. {goes_on}"
    return kind(
        f"instance {managed.id} was not ready within {now.timeout:g} s; {why}{blind}",
        instance_id=managed.id,
        last=of_managed(managed, owner),
        phase=now.phase,
        elapsed=now.elapsed,
        cost=now.cost,
        reason=trouble,
    )


def _unmanaged_failed(one: Instance[Mode], now: WaitProgress) -> InstanceFailed:
    reason = one.failure or f"it is {one.phase or one.status}"
    return InstanceFailed(
        f"machine {one.id} will not become ready: {reason}",
        instance_id=one.id,
        last=one,
        phase=now.phase,
        elapsed=now.elapsed,
        reason=reason,
    )


def _unmanaged_too_late(
    one: Instance[Mode], now: WaitProgress, trouble: CallError | None
) -> WaitTimedOut:
    error = WaitTimedOut(
        f"machine {one.id} was not ready within {now.timeout:g} s; last seen {now.phase or now.status}. "
        "It goes on, and bills: wait again, or delete()",
        instance_id=one.id,
        last=one,
        phase=now.phase,
        elapsed=now.elapsed,
        reason=None if trouble is None else str(trouble),
    )
    error.__cause__ = trouble
    return error
