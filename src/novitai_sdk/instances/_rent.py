"""A rented instance that cannot be forgotten: it is deleted when its block ends, however that ends."""

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic

import attrs

from .._asked import check_progress, check_timeout
from .._calling import Async, Mode, Sync, drive
from ..errors import CleanupFailed, InstanceNotFound, NovitaError
from ..models import CreateInstanceRequest
from ._instance import Instance
from ._progress import OnProgress

if TYPE_CHECKING:
    from ._operations import Operations

__all__ = ["Late", "Rental"]

_log = logging.getLogger("novitai_sdk")

_CLEANUP: Final = 120.0


@attrs.frozen
class Late(Generic[Mode]):
    """How a machine is given back whose client was closed before its block ended."""

    closed: Callable[[], bool]
    """Whether it was."""

    another: "Callable[[], AbstractAsyncContextManager[Operations[Mode]]]"
    """A client like it, for as long as that takes."""


class Rental(Generic[Mode]):
    """What ``client.instances.rent(...)`` returns: a block with a machine in it.

    Entering creates the instance and waits until it is ready; leaving deletes it and sees that it is gone, after an
    exception, a cancellation and Ctrl-C as well, and also where the client was closed in the meantime. Raises
    CleanupFailed, with the instance id, when it may still bill.
    """

    def __init__(
        self,
        owner: "Operations[Mode]",
        request: CreateInstanceRequest | None,
        fields: dict[str, Any],
        *,
        late: Late[Mode],
        timeout: float,
        progress: bool | None,
        on_progress: OnProgress | None,
    ) -> None:
        self._owner = owner
        self._request = request
        self._fields = fields
        self._late = late
        self._timeout = timeout
        self._progress = progress
        self._on_progress = on_progress
        self._id: str | None = None
        self._last: Instance[Mode] | None = None
        self._given_back = False

    def __enter__(self: "Rental[Sync]") -> Instance[Sync]:
        self._check_mode(Sync, "async with")
        return drive(self._open())

    def __exit__(
        self: "Rental[Sync]",
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        drive(self._close(error))

    async def __aenter__(self: "Rental[Async]") -> Instance[Async]:
        self._check_mode(Async, "with")
        return await self._open()

    async def __aexit__(
        self: "Rental[Async]",
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close(error)

    def __repr__(self) -> str:
        block = "with" if self._owner.mode is Sync else "async with"
        if self._id is None:
            return f"<Rental: nothing is rented before its `{block}` block>"
        return f"<Rental: {self._id}{', given back' if self._given_back else ''}>"

    def _check_mode(self, mode: type[Sync | Async], instead: str) -> None:
        # Driven in the other way, an awaited rental would break off halfway, and a plain one hold up the loop.
        if self._owner.mode is not mode:
            raise TypeError(
                f"a rental of this client begins with `{instead} client.instances.rent(...)`"
            )

    async def _open(self) -> Instance[Mode]:
        # Before a machine is rented that nobody could wait for.
        check_timeout(self._timeout)
        check_progress(self._on_progress)
        if self._id is not None and not self._given_back:
            raise RuntimeError(f"this block has a machine already: {self._id}")
        self._id, self._last, self._given_back = None, None, False
        # `with` does not call __exit__ when __enter__ fails, and the machine may be there already.
        try:
            self._last = await self._owner.make(self._request, told=self._remember, **self._fields)
            self._last = await self._owner.wait_for(
                self._last.id,
                timeout=self._timeout,
                progress=self._progress,
                on_progress=self._on_progress,
                rented=True,
            )
        except BaseException as error:
            await self._close(error)
            raise
        return self._last

    def _remember(self, instance_id: str) -> None:
        self._id = instance_id

    async def _close(self, error: BaseException | None) -> None:
        if self._id is None:
            return
        try:
            await self._owner.insist(lambda: self._give_back(error), self._interrupted)
        except BaseException:
            if not self._given_back:
                _log.warning(
                    "instance %s was not seen to be gone: it may bill until it is deleted", self._id
                )
            raise

    def _interrupted(self) -> None:
        _log.warning("instance %s is being given back; interrupted again, it is left", self._id)

    async def _give_back(self, error: BaseException | None) -> None:
        instance_id = self._id
        if instance_id is None or self._given_back:  # begun anew just after it was done
            return
        try:
            await self._remove(instance_id)
        except InstanceNotFound:
            pass  # it was never stored, so nothing was ever asked for
        except CleanupFailed as failed:
            raise failed from error
        except NovitaError as failed:
            why = self._owner.not_removed(instance_id, self._last, str(failed))
            raise why from (error or failed)
        self._given_back = True

    async def _remove(self, instance_id: str) -> None:
        try:
            await self._owner.remove(instance_id, timeout=_CLEANUP, recorded=True)
        except InstanceNotFound:
            raise
        except NovitaError as failed:
            if not self._late.closed():
                raise
            # Tasks and threads that rent are often told to end after the block of the client they share.
            async with self._late.another() as owner:
                await self._remove_by(owner, instance_id, failed)

    async def _remove_by(
        self, owner: "Operations[Mode]", instance_id: str, failed: NovitaError
    ) -> None:
        try:
            await owner.remove(instance_id, timeout=_CLEANUP)
        except InstanceNotFound:
            # A store in memory went with its client: then what no listing has may be on its way still, or left out.
            machine = None if self._last is None else self._last.novita_instance_id
            if machine is None:
                raise failed from None
            with suppress(InstanceNotFound):  # so says the cloud when asked for the machine itself
                await owner.remove(machine, timeout=_CLEANUP)
