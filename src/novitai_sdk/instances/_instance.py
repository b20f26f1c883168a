"""An InstanceDetails that can act."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Generic

import attrs

from .._calling import Mode, Moded, dual
from ..errors import InstanceError
from ..models import InstanceDetails
from ..models._base import OFF_WIRE
from ._progress import OnProgress
from ._records import Managed

if TYPE_CHECKING:
    from ._operations import Operations

__all__ = ["Instance"]

_HIDDEN: Final[Mapping[str, Any]] = {"eq": False, "repr": False, "metadata": OFF_WIRE}


class NoClient(Moded[Mode]):
    """What an instance that came out of a pickle has in the place of a client."""

    __slots__ = ("_mode",)

    def __init__(self, mode: type[Mode]) -> None:
        self._mode = mode

    @property
    def mode(self) -> type[Mode]:
        """`Sync` or `Async`."""
        return self._mode


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Instance(InstanceDetails, Moded[Mode], Generic[Mode]):
    """One instance: what is known of it, and what can be done with it.

    A value: it does not change behind your back. Every action returns the instance as it was then seen.

    A copy acts through the same client. A pickle keeps all that is known and no client: an action of what comes out of
    one raises InstanceError, and ``client.instances.get(id)`` returns an instance that can act.
    """

    owner: "Operations[Mode] | NoClient[Mode]" = attrs.field(**_HIDDEN)
    """Whoever does what it is asked."""

    novita_instance_id: str | None = attrs.field(default=None, metadata=OFF_WIRE)
    """The cloud's id of the machine, once there is one."""

    phase: str | None = attrs.field(default=None, metadata=OFF_WIRE)
    """The cloud's own word for what it is doing, such as ``pulling``."""

    hourly_price: Decimal | None = attrs.field(default=None, metadata=OFF_WIRE)
    """USD per hour for all its GPUs, as chosen at the create."""

    failure: str | None = attrs.field(default=None, metadata=OFF_WIRE)
    """Why it failed, if it did, or stopped without being asked to, as a spot machine does that the cloud takes back."""

    @property
    def mode(self) -> type[Mode]:
        """`Sync` or `Async`."""
        return self.owner.mode

    @property
    def managed(self) -> bool:
        """Whether this client has a record of it; False for a machine that others made."""
        return self.id != self.novita_instance_id

    @dual
    async def wait_until_ready(
        self,
        timeout: float = 1200.0,
        *,
        progress: bool | None = None,
        on_progress: OnProgress | None = None,
    ) -> "Instance[Mode]":
        """Wait until the machine runs, and return it with its connection details.

        *timeout* is in seconds. *progress*: True shows the wait on stderr, False does not, None does where somebody
        is watching. *on_progress*, a plain function on either client, is called with a WaitProgress whenever something
        changed, at least every second.

        Raises InstanceFailed when it will not become ready, WaitTimedOut when it did not in time (it goes on existing,
        and billing), CreateOutcomeUnknown when the answer to the create was lost and the machine was not seen. Each
        carries the instance id, the last sight of it, the phase and the elapsed seconds. A machine that is on record is
        followed by a job; any other is looked at from here, and what such a look raises at first is raised.
        """
        return await self._asked().wait_for(
            self.id, timeout=timeout, progress=progress, on_progress=on_progress
        )

    @dual
    async def refresh(self) -> "Instance[Mode]":
        """Return it as the cloud sees it now. Raises CallError, InstanceNotFound."""
        return await self._asked().look(self.id)

    @dual
    async def start(self) -> "Instance[Mode]":
        """Start it; a job follows it to running. Raises InstanceStateError unless it is stopped or failed."""
        return await self._asked().begin(self.id)

    @dual
    async def stop(self, timeout: float = 120.0) -> "Instance[Mode]":
        """Stop it and wait up to *timeout* seconds until it is; its storage goes on costing.

        Raises as ``instances.stop``.
        """
        return await self._asked().halt(self.id, timeout=timeout)

    @dual
    async def delete(self, timeout: float = 120.0) -> "Instance[Mode]":
        """Remove it for good and wait up to *timeout* seconds until it is gone. Raises as ``instances.delete``."""
        return await self._asked().remove(self.id, timeout=timeout)

    def _asked(self) -> "Operations[Mode]":
        """Whoever does it. Raises InstanceError when a pickle left it behind."""
        if isinstance(self.owner, NoClient):
            raise InstanceError(
                f"instance {self.id} came out of a pickle, and a pickle carries no client: "
                f"client.instances.get({self.id!r}) returns one that can act",
                instance_id=self.id,
                last=self,
                phase=self.phase,
            )
        return self.owner

    def __copy__(self) -> "Instance[Mode]":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Instance[Mode]":
        return type(self)(**deepcopy(_known(self, type(self)), memo), owner=self.owner)

    def __reduce__(self) -> tuple[Callable[..., "Instance[Mode]"], tuple[Any, ...]]:
        return _without_client, (type(self), self.mode, _known(self, type(self)))


def of_managed(managed: Managed, owner: "Operations[Mode]") -> Instance[Mode]:
    """Return the public face of a record."""
    return of_details(
        managed.details(),
        owner,
        novita_instance_id=managed.state.novita_instance_id,
        phase=managed.phase,
        hourly_price=managed.hourly_price,
        failure=managed.why,
    )


def of_details(details: InstanceDetails, owner: "Operations[Mode]", **known: Any) -> Instance[Mode]:
    """Return *details* with the ability to act."""
    return Instance(**_known(details, InstanceDetails), owner=owner, **known)


def _known(details: InstanceDetails, kind: type[InstanceDetails]) -> dict[str, Any]:
    """Every field of *kind* but the owner, by the names it is made with."""
    return {
        field.alias or field.name: getattr(details, field.name)
        for field in attrs.fields(kind)
        if field.name != "owner"
    }


def _without_client(
    kind: type[Instance[Mode]], mode: type[Mode], known: dict[str, Any]
) -> Instance[Mode]:
    return kind(**known, owner=NoClient(mode))


_MOST_DIGITS: Final = 20


def cost_so_far(hourly_price: Decimal | None, created: datetime, now: datetime) -> Decimal | None:
    """USD from creation to *now*, an upper bound: the cloud bills from the image download on."""
    if hourly_price is None:
        return None
    cost = hourly_price * Decimal(max(0.0, (now - created).total_seconds())) / 3600
    # A price that is none has more digits than are reckoned with: it must not be the error in place of every other.
    return cost.quantize(Decimal("0.000001")) if cost.adjusted() < _MOST_DIGITS else cost
