"""What a client that closes leaves undone, said so that nobody pays for it unawares."""

import logging
from collections.abc import Iterator
from concurrent.futures import (
    TimeoutError as FutureTimeout,  # a class of its own before Python 3.11
)
from typing import Final

from ..errors import JobError
from ..jobs import JobQuery, Record, Store, StoreClosed
from ..models import InstanceStatus, JobStatus, JobType
from ._records import KIND, Managed, read_record

__all__ = ["tell_of_unfinished"]

_log = logging.getLogger("novitai_sdk")

_MOST: Final = 10
_SECONDS: Final = 5.0
_UNDER_WAY: Final = frozenset(
    {InstanceStatus.CREATING, InstanceStatus.CREATED, InstanceStatus.STARTING}
)


def tell_of_unfinished(store: Store, *, lasting: bool) -> None:
    """Log a WARNING that names the instances whose jobs wait in *store* with nobody of this client to do them.

    *lasting* tells whether another client can go on with them. Blocks while the store answers.
    """
    try:
        found = list(_unfinished(store))
    except StoreClosed:  # by whoever it belongs to
        return
    except (JobError, TimeoutError, FutureTimeout) as error:
        _log.warning("what this client leaves undone could not be read from its store: %s", error)
        return
    if not found:
        return
    more = f"; and {len(found) - _MOST} more" if len(found) > _MOST else ""
    _log.warning(
        "the client was closed with instances on their way: %s%s. %s",
        "; ".join(map(_named, found[:_MOST])),
        more,
        "Another or the next client on the same store goes on with them; instances.delete(id) there ends one"
        if lasting
        else "Their store was in memory, so no client goes on with them: "
        "instances.list(include_unmanaged=True) shows what exists, instances.delete(id) ends it",
        extra={"instances": [one.id for one in found]},
    )


def _unfinished(store: Store) -> Iterator[Managed]:
    seen: set[str] = set()
    for type_ in (JobType.CREATE_INSTANCE, JobType.MONITOR_INSTANCE):
        # Those that are worked on are somebody else's: this client has handed its own back.
        waiting = JobQuery(status=JobStatus.PENDING, type=str(type_))
        for job in store.jobs(waiting).result(_SECONDS):
            instance_id = str(job.payload.get("instanceId"))
            record = None if instance_id in seen else store.read(KIND, instance_id).result(_SECONDS)
            seen.add(instance_id)
            managed = None if record is None else _read(record)
            if managed is None:
                continue
            if managed.status in _UNDER_WAY or (managed.deleting and not _is_gone(managed)):
                yield managed


def _read(record: Record) -> Managed | None:
    try:
        return read_record(record)
    except JobError as error:  # it must not keep the others from being named
        _log.warning("%s; it may be on its way, and be billed", error)
        return None


def _is_gone(managed: Managed) -> bool:
    return managed.status is InstanceStatus.TERMINATED


def _named(managed: Managed) -> str:
    machine = managed.state.novita_instance_id
    if machine is not None and managed.deleting:
        how = f"asked to be deleted, but {machine} was not seen to be gone and may be billed"
    elif machine is not None:
        how = f"rented as {machine} and billed, and nobody waits for it here any more"
    elif managed.intent is not None:
        how = "the answer to its create was lost, so it may be billed"
    else:
        how = "not rented yet"
    return f"{managed.state.name} ({managed.id}): {how}"
