"""The errors of what could not be done with an instance, each with all that is known of it at that moment."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal

from .._calling import Mode
from ..errors import (
    CallError,
    CleanupFailed,
    InstanceNotFound,
    InstanceStateError,
    WaitTimedOut,
)
from ._instance import Instance, cost_so_far

__all__ = ["about", "cannot", "no_record", "not_given_back", "not_gone", "not_stopped"]


def _cost(one: Instance[Mode], now: datetime) -> Decimal | None:
    return cost_so_far(one.hourly_price, one.created_at, now)


def cannot(one: Instance[Mode], what: str, why: str, now: datetime) -> InstanceStateError:
    """It is in no state for *what*, such as ``stop``."""
    return InstanceStateError(
        f"instance {one.id} cannot {what} while it is {one.status}: {why}",
        action=what,
        instance_id=one.id,
        last=one,
        phase=one.phase,
        elapsed=(now - one.created_at).total_seconds(),
        cost=_cost(one, now),
        reason=why,
    )


def not_stopped(one: Instance[Mode], timeout: float, now: datetime) -> WaitTimedOut:
    """It was asked to stop, and *timeout* seconds later has not."""
    return WaitTimedOut(
        f"instance {one.id} was asked to stop but is {one.phase or one.status} after "
        f"{timeout:g} s; it may still bill",
        instance_id=one.id,
        last=one,
        phase=one.phase,
        elapsed=timeout,
        cost=_cost(one, now),
    )


def not_gone(one: Instance[Mode], timeout: float, now: datetime) -> CleanupFailed:
    """It was asked to be deleted, and *timeout* seconds later is there, or nobody knows."""
    unborn = one.novita_instance_id is None
    what = "it is not known yet whether it exists" if unborn else f"it is {one.phase or one.status}"
    goes_on = " A job goes on trying." if one.managed else ""
    carries = f": it carries NOVITAI_INSTANCE_ID={one.id}" if one.managed else ""
    return CleanupFailed(
        f"instance {one.id} was asked to be deleted but {what} after {timeout:g} s; it may still bill.{goes_on} "
        f"Delete it again with client.instances.delete({one.id!r}), or in the console{carries}",
        instance_id=one.id,
        last=one,
        phase=one.phase,
        elapsed=timeout,
        cost=_cost(one, now),
    )


def not_given_back(
    instance_id: str, last: Instance[Mode] | None, why: str, now: datetime
) -> CleanupFailed:
    """It was rented and could not be deleted, because of *why*; *last* is the last sight of it."""
    return CleanupFailed(
        f"instance {instance_id} could not be deleted and may still bill: {why}. Delete it with "
        f"client.instances.delete({instance_id!r}), or in the console: it carries "
        f"NOVITAI_INSTANCE_ID={instance_id}",
        instance_id=instance_id,
        last=last,
        phase=None if last is None else last.phase,
        elapsed=None if last is None else (now - last.created_at).total_seconds(),
        cost=None if last is None else _cost(last, now),
        reason=why,
    )


def no_record(instance_id: str) -> InstanceNotFound:
    """This store knows nothing of it."""
    return InstanceNotFound(
        f"no record of instance {instance_id} in this store", instance_id=instance_id
    )


@contextmanager
def about(instance_id: str) -> Generator[None, None, None]:
    """Let whatever the cloud refuses tell which instance it is about."""
    try:
        yield
    except CallError as error:
        error.instance_id = error.instance_id or instance_id
        raise
