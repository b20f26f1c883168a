"""``client.instances``: machines this library rents and looks after."""

from typing import Generic

from typing_extensions import Unpack

from .._calling import Belonging, Mode, dual
from ..models import CreateInstanceRequest
from ._instance import Instance
from ._operations import Operations
from ._progress import OnProgress
from ._rent import Late, Rental
from ._wanted import CreateOptions

__all__ = ["Instances"]


class Instances(Belonging[Mode], Generic[Mode]):
    """``client.instances``: rent, find, stop and give back machines.

    What the cloud refuses is raised as CallError and its kinds; see :mod:`novitai_sdk.errors`.
    """

    __slots__ = ("_do", "_late")

    def __init__(self, operations: Operations[Mode], late: Late[Mode]) -> None:
        self._do = operations
        self._late = late

    @property
    def mode(self) -> type[Mode]:
        """`Sync` or `Async`."""
        return self._do.mode

    @dual
    async def create(
        self,
        request: CreateInstanceRequest | None = None,
        /,
        *,
        max_wait: float | None = None,
        **options: Unpack[CreateOptions],
    ) -> Instance[Mode]:
        """Rent a machine: return at once, and have a job do the rest.

        Give a ready CreateInstanceRequest, or its fields: *name* (1 to 100 letters, digits, ``-``, ``_``),
        *product_name*, *template_id*, *gpu_num* (1 to 8, default 1), *rootfs_size* (GB, 20 to 1000, default 60),
        *region* (default CN-HK-01), *webhook_url* (http or https; told when the machine runs, fails, stops or is
        deleted) and *billing_mode* (``spot``, the default, or ``onDemand``). *max_wait* is how many seconds it may
        take to run before it counts as failed (default: the setting ``startup_timeout``).

        The cheapest available product of that name with a price in that billing mode is chosen now, the template is
        read now, and both the intent and the job are stored before this returns. The machine carries the returned id
        in the environment variable ``NOVITAI_INSTANCE_ID``.

        Raises ValidationError with every problem before any network call, NoSuitableProduct, NotFound for an unknown
        template.
        """
        return await self._do.make(request, max_wait=max_wait, **options)

    @dual
    async def get(self, instance_id: str) -> Instance[Mode]:
        """Return one instance as the cloud sees it now.

        *instance_id*, here and below, is the id this library gave, or the cloud's own. Of a machine that this store
        has no record of, the result has the cloud's id. Raises InstanceNotFound.
        """
        return await self._do.look(instance_id)

    @dual
    async def list(self, *, include_unmanaged: bool = False) -> tuple[Instance[Mode], ...]:
        """Return the managed instances that are not deleted, newest first, by one listing of the cloud.

        One that the listing leaves out is looked up singly before it counts as gone. A record that cannot be read is
        logged, and its machine shown under the cloud's id.
        *include_unmanaged* adds the machines of this account that this library has no record of. Raises
        UnexpectedReply when the cloud's listing was cut short: it never looks complete when it is not.
        """
        return await self._do.all(include_unmanaged)

    @dual
    async def start(self, instance_id: str) -> Instance[Mode]:
        """Start a stopped or failed instance; a job follows it to running.

        Raises InstanceStateError in any other state, NoCapacity when nothing is free, InstanceNotFound.
        """
        return await self._do.begin(instance_id)

    @dual
    async def stop(self, instance_id: str, *, timeout: float = 120.0) -> Instance[Mode]:
        """Stop an instance and wait up to *timeout* seconds until it is; 0 returns while it is stopping.

        A call that is under way when the time is up is given 5 s in all, and a look that fails ends no wait.
        A stopped machine keeps its disk, which goes on costing. Raises InstanceStateError when it cannot be stopped,
        WaitTimedOut, InstanceNotFound.
        """
        return await self._do.halt(instance_id, timeout=timeout)

    @dual
    async def delete(self, instance_id: str, *, timeout: float = 120.0) -> Instance[Mode]:
        """Remove an instance for good and wait up to *timeout* seconds until it is gone; the limits are as for `stop`.

        Should this process end in the middle of it, a job goes on with what is on record. One whose create is still
        under way is removed as soon as it is known whether it exists. Raises CleanupFailed when it could not be shown
        to be gone: it may still bill. Raises InstanceStateError for a monthly one that has not expired, and
        InstanceNotFound.
        """
        return await self._do.remove(instance_id, timeout=timeout)

    def rent(
        self,
        request: CreateInstanceRequest | None = None,
        /,
        *,
        max_wait: float | None = None,
        timeout: float = 1200.0,
        progress: bool | None = None,
        on_progress: OnProgress | None = None,
        **options: Unpack[CreateOptions],
    ) -> Rental[Mode]:
        """Return a block with a machine in it: ready when the block begins, deleted when it ends.

        ``with client.instances.rent(name=..., product_name=..., template_id=...) as instance:`` (``async with`` on
        an AsyncNovitai). It is deleted after an exception, a cancellation and Ctrl-C as well, and seen to be gone; a
        Ctrl-C while that is under way does not stop it, a second one does. Nor does it matter that the client was
        closed before the block ended: another one like it is made for that.
        Takes what ``create`` takes, *max_wait* too; *timeout* in seconds, *progress* and *on_progress* are those of
        ``wait_until_ready``. Raises what both raise, and CleanupFailed when the machine may still bill.
        """
        return Rental(
            self._do,
            request,
            {**options, "max_wait": max_wait},
            late=self._late,
            timeout=timeout,
            progress=progress,
            on_progress=on_progress,
        )
