"""Private networks of instances, and storages that outlive them."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import attrs

from ..models._base import Json, Model, extra_field
from ._reported import AN_ID
from ._words import NetworkPhase

__all__ = [
    "CreateNetwork",
    "CreateNetworkStorage",
    "Network",
    "NetworkAddress",
    "NetworkAnswer",
    "NetworkList",
    "NetworkQuery",
    "NetworkRef",
    "NetworkState",
    "NetworkStorage",
    "NetworkStorageList",
    "NetworkStorageQuery",
    "NetworkStorageRef",
    "OneNetwork",
    "StorageCreated",
    "UpdateNetwork",
    "UpdateNetworkStorage",
]


def _first(found: Json) -> Json:
    """The one thing that is meant where the documents draw a list and the cloud may send the thing itself."""
    return (found[0] if found else {}) if isinstance(found, list) else found


# -- networks --------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NetworkQuery(Model):
    """Which networks to list, and which page of them. What is None is not asked for."""

    page_size: int | None = None
    page_num: int | None = None
    """From 0; the cloud may give the same page for 0 and 1."""

    name: str | None = None
    """Part of the name."""

    creators: tuple[str, ...] | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NetworkState(Model):
    """Whether a network can be used."""

    state: NetworkPhase | None = None
    error: str | None = None
    extra: Mapping[str, Json] = extra_field()

    @staticmethod
    def one_form(found: Json) -> Json:
        """Read the list the documents draw as the object that is sent."""
        return _first(found)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NetworkAddress(Model):
    """An instance in a network."""

    id: str | None = attrs.field(default=None, metadata={"wire": "Id", "also": ("id",)})
    """Id of the instance."""

    ip: str | None = attrs.field(default=None, metadata={"wire": "Ip", "also": ("ip",)})
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Network(Model):
    """A private network (VPC) of instances in one cluster."""

    id: str = attrs.field(metadata={"wire": "Id", "also": ("id",), **AN_ID})
    user: str | None = None
    name: str | None = None
    state: NetworkState | None = None
    segment: str | None = None
    """Its addresses, as CIDR."""

    cluster_id: str | None = None
    addresses: tuple[NetworkAddress, ...] = attrs.field(
        default=(), metadata={"wire": "Addresses", "also": ("addresses",)}
    )
    create_time: datetime | None = None
    extra: Mapping[str, Json] = extra_field()

    @property
    def ready(self) -> bool:
        """Whether instances can be put into it."""
        return self.state is not None and self.state.state is NetworkPhase.READY

    @staticmethod
    def one_form(found: Json) -> Json:
        """Read the list of one the documents draw as the network in it."""
        return _first(found)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NetworkList(Model):
    """One page of networks."""

    networks: tuple[Network, ...] | None = attrs.field(metadata={"also": ("network",)})
    total: int | None = None
    """How many there are on all pages."""

    extra: Mapping[str, Json] = extra_field()

    @property
    def items(self) -> tuple[Network, ...]:
        """The networks of this page."""
        return self.networks or ()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NetworkRef(Model):
    """Names one network in a request."""

    network_id: str


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NetworkAnswer(Model):
    """The network that was made, wrapped; None where the cloud does not say which, which an empty list means too."""

    network: Network | None = None
    extra: Mapping[str, Json] = extra_field()

    @staticmethod
    def one_form(found: Json) -> Json:
        """Read a network that is there without its id, or an empty list, as no network."""
        if not isinstance(found, dict):
            return found
        inner = _first(found.get("network"))
        named = isinstance(inner, dict) and (inner.get("Id") or inner.get("id"))
        return {**found, "network": inner if named else None}


@attrs.frozen(kw_only=True, eq=False, repr=False)
class OneNetwork(Model):
    """One network, wrapped."""

    network: Network
    extra: Mapping[str, Json] = extra_field()

    one_form = NetworkAnswer.one_form


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CreateNetwork(Model):
    """A new network."""

    cluster_id: str
    """Only clusters with ``support_instance_network``."""

    name: str | None = None
    """Up to 30 characters."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class UpdateNetwork(Model):
    """Another name for a network."""

    network_id: str
    name: str
    """1 to 30 characters."""


# -- network storages ------------------------------------------------------------------------------


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NetworkStorageQuery(Model):
    """Which storages to list, and which page of them. What is None is not asked for."""

    page_size: int | None = None
    page_no: int | None = None
    """From 1."""

    storage_name: str | None = None
    """Part of the name."""

    storage_id: str | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NetworkStorage(Model):
    """A disk that instances of its cluster can mount. It stays when they go, and is paid for until it is deleted."""

    storage_id: str
    storage_name: str | None = None
    storage_size: int | None = None
    """GB."""

    cluster_id: str | None = None
    cluster_name: str | None = None
    price: Decimal | None = None
    """As it came: the unit is not documented."""

    extra: Mapping[str, Json] = extra_field()

    @property
    def id(self) -> str:
        """The same as ``storage_id``."""
        return self.storage_id


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NetworkStorageList(Model):
    """One page of storages."""

    data: tuple[NetworkStorage, ...] | None
    total: int | None = None
    """How many there are on all pages."""

    extra: Mapping[str, Json] = extra_field()

    @property
    def items(self) -> tuple[NetworkStorage, ...]:
        """The storages of this page."""
        return self.data or ()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CreateNetworkStorage(Model):
    """A new storage, billed from now on."""

    cluster_id: str
    """Only clusters with ``support_network_storage``."""

    storage_name: str
    storage_size: int
    """GB, 10 or more."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class StorageCreated(Model):
    """The answer to the making of a storage: its id."""

    storage_id: str = attrs.field(metadata={"also": ("id",), **AN_ID})
    extra: Mapping[str, Json] = extra_field()

    @staticmethod
    def one_form(found: Json) -> Json:
        """Read the bare text that is documented as the object that was seen too."""
        return {"storageId": found} if isinstance(found, str) and found else found


@attrs.frozen(kw_only=True, eq=False, repr=False)
class UpdateNetworkStorage(Model):
    """Another name or size for a storage. The cloud's own description wants all three, so all three are sent."""

    storage_id: str
    storage_name: str
    storage_size: int
    """GB; never less than it has."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NetworkStorageRef(Model):
    """Names one storage in a request."""

    storage_id: str
