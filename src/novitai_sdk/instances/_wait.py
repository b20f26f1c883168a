"""Waiting for an instance to be of use."""

import logging
from collections.abc import Generator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from .._calling import Mode
from ..errors import CreateOutcomeUnknown, InstanceFailed, InstanceNotFound, WaitTimedOut
from ..jobs import Record
from ..models import InstanceStatus
from ._backstage import Backstage
from ._instance import Instance, cost_so_far, of_managed
from ._life import ENDED, READY
from ._progress import OnProgress, WaitProgress, reporter
from ._records import Managed, at, read_record

if TYPE_CHECKING:
    from ._operations import Operations

__all__ = ["wait_until_ready"]

_log = logging.getLogger("novitai_sdk")

# Seconds between two words on a wait that somebody follows, so that it does not look dead.
_WORD: Final = 1.0

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
) -> Instance[Mode]:
    """Wait until the record of an instance says that it is ready; see `Instance.wait_until_ready`."""
    started = back.waiter.monotonic()
    with _word_left(instance_id), reporter(progress) as shown:
        while True:
            record = await back.read(instance_id)
            if record is None:
                raise InstanceNotFound(
                    f"no record of instance {instance_id} in this store", instance_id=instance_id
                )
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
                raise _failed(managed, now, owner)
            # Before the deadline is looked at: a dead runner is a better reason than time.
            back.check_runner()
            if elapsed >= timeout:
                raise _too_late(managed, now, owner)
            followed = on_progress is not None or shown.live
            longest = _WORD if followed else _LOOK_AGAIN
            await _next_change(back, record, min(longest, timeout - elapsed))


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
    woken: Future[None] = Future()

    def wake(*_: object) -> None:
        with suppress(InvalidStateError):  # by the other one, or given up
            woken.set_result(None)

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


def _failed(managed: Managed, now: WaitProgress, owner: "Operations[Mode]") -> InstanceFailed:
    reason = managed.state.last_error or f"it is {managed.status}"
    exists = (
        managed.state.novita_instance_id is not None
        and managed.status is not InstanceStatus.TERMINATED
    )
    bills = "; the machine still exists and may bill: delete it" if exists else ""
    return InstanceFailed(
        f"instance {managed.id} will not become ready: {reason}{bills}",
        instance_id=managed.id,
        last=of_managed(managed, owner),
        phase=now.phase,
        elapsed=now.elapsed,
        cost=now.cost,
        reason=reason,
    )


def _too_late(managed: Managed, now: WaitProgress, owner: "Operations[Mode]") -> WaitTimedOut:
    doing = now.phase or now.status
    if managed.intent is not None:
        kind: type[WaitTimedOut] = CreateOutcomeUnknown
        why = (
            f"the answer to its create was lost ({managed.intent.lost or 'the process ended'}) and no machine with "
            f"NOVITAI_INSTANCE_ID={managed.id} has been seen yet: it may exist and bill. A job goes on looking; "
            "call wait_until_ready() again, or delete()"
        )
    else:
        kind = WaitTimedOut
        why = f"last seen {doing}. It goes on, and bills: wait again, or delete()"
    return kind(
        f"instance {managed.id} was not ready within {now.timeout:g} s; {why}",
        instance_id=managed.id,
        last=of_managed(managed, owner),
        phase=now.phase,
        elapsed=now.elapsed,
        cost=now.cost,
    )
