"""What an emulated account has beside its machines: jobs, private networks, network storages."""

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from ._state import Account
    from ._stock import StockCluster

__all__ = ["CloudJob", "Endpoint", "Network", "Prewarm", "Storage"]


@attrs.define(kw_only=True)
class CloudJob:
    """A job of the cloud; a doomed one fails with that message where it would have succeeded."""

    id: str
    account: "Account"
    type: str
    machine_id: str
    created_at: float
    state: str
    since: float
    doom: str = ""
    error: str = ""


@attrs.define(kw_only=True)
class Network:
    """A private network. Addresses are given out in order and never twice."""

    id: str
    account: "Account"
    name: str
    cluster: "StockCluster"
    number: int
    created_at: float
    state: str
    since: float
    given: int = 1

    @property
    def segment(self) -> str:
        """Its addresses, as CIDR."""
        return f"10.{self.number}.0.0/16"

    def next_ip(self) -> str:
        """Give out an address."""
        self.given += 1
        return f"10.{self.number}.{self.given // 250}.{self.given % 250}"


@attrs.define(kw_only=True)
class Storage:
    """A network storage; its size in GB."""

    id: str
    account: "Account"
    name: str
    size: int
    cluster: "StockCluster"
    deleted: bool = False


@attrs.define(kw_only=True)
class Prewarm:
    """An image on its way to nodes."""

    id: str
    account: "Account"
    image: str
    credential: str
    cluster: "StockCluster"
    products: tuple[str, ...]
    note: str
    created_at: float
    since: float


@attrs.define(kw_only=True)
class Endpoint:
    """A serverless endpoint."""

    id: str
    account: "Account"
    app_name: str
    spec: dict[str, Any]
