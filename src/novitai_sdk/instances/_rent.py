"""A rented instance that cannot be forgotten: it is deleted when its block ends, however that ends."""

from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic

from .._calling import Async, Mode, Sync, drive
from ..errors import CleanupFailed, InstanceNotFound, NovitaError
from ._instance import Instance
from ._progress import OnProgress

if TYPE_CHECKING:
    from ._operations import Operations

__all__ = ["Rental"]

_CLEANUP: Final = 120.0


class Rental(Generic[Mode]):
    """What ``client.instances.rent(...)`` returns: a block with a machine in it.

    Entering creates the instance and waits until it is ready; leaving deletes it and sees that it is gone, after an
    exception, a cancellation and Ctrl-C as well. Raises CleanupFailed, with the instance id, when it may still bill.
    """

    def __init__(
        self,
        owner: "Operations[Mode]",
        fields: dict[str, Any],
        *,
        timeout: float,
        progress: bool | None,
        on_progress: OnProgress | None,
    ) -> None:
        self._owner = owner
        self._fields = fields
        self._timeout = timeout
        self._progress = progress
        self._on_progress = on_progress
        self._id: str | None = None

    def __enter__(self: "Rental[Sync]") -> Instance[Sync]:
        return drive(self._open())

    def __exit__(
        self: "Rental[Sync]",
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        drive(self._close(error))

    async def __aenter__(self: "Rental[Async]") -> Instance[Async]:
        return await self._open()

    async def __aexit__(
        self: "Rental[Async]",
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close(error)

    async def _open(self) -> Instance[Mode]:
        # `with` does not call __exit__ when __enter__ fails, and the machine may be there already.
        try:
            made = await self._owner.make(told=self._remember, **self._fields)
            return await self._owner.wait_for(
                made.id,
                timeout=self._timeout,
                progress=self._progress,
                on_progress=self._on_progress,
            )
        except BaseException as error:
            await self._close(error)
            raise

    def _remember(self, instance_id: str) -> None:
        self._id = instance_id

    async def _close(self, error: BaseException | None) -> None:
        if self._id is None:
            return
        with self._owner.shield(_CLEANUP + 10.0):
            try:
                await self._owner.remove(self._id, timeout=_CLEANUP, recorded=True)
            except InstanceNotFound:
                return  # it was never stored, so nothing was ever asked for
            except CleanupFailed as failed:
                raise failed from error
            except NovitaError as failed:
                raise CleanupFailed(
                    f"instance {self._id} could not be deleted and may still bill: {failed}. Delete it with "
                    f"client.instances.delete({self._id!r}), or in the console: it carries "
                    f"NOVITAI_INSTANCE_ID={self._id}",
                    instance_id=self._id,
                    reason=str(failed),
                ) from (error or failed)
