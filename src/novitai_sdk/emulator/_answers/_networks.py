"""Private networks and network storages."""

from typing import Any, Final
from uuid import UUID

from ...cloud import _routes as routes
from .._checks import Rule, a_text
from .._holdings import Network, Storage
from .._life import GONE
from .._state import Refused, World
from .._stock import StockCluster
from ._base import Call, Wire, answers, invalid, page_of, part

__all__: list[str] = []

_MOST_NETWORKS: Final = 10
_LARGEST: Final = 10240

_NETWORKS: Final = (
    Rule(name="pageSize", kind=int, least=0),
    Rule(name="pageNum", kind=int, least=0),
    a_text("name"),
    a_text("creators", 4095),
)
_NETWORK: Final = (a_text("networkId", least=1, required=True),)
_NEW_NETWORK: Final = (a_text("clusterId", least=1, required=True), a_text("name", 30))
_NAMED_NETWORK: Final = (*_NETWORK, a_text("name", 30, least=1, required=True))


@answers(routes.LIST_NETWORKS, _NETWORKS)
def _list(call: Call) -> Any:
    fields, world = call.fields, call.world
    creators = [one for one in fields.get("creators", "").split(",") if one]
    wanted = [
        one
        for one in world.networks_of(call.account)
        if part(fields.get("name"), one.name) and (not creators or one.account.name in creators)
    ]
    number = fields.get("pageNum", 0)
    page, total = page_of(
        call, wanted, number - 1 if world.quirks.page_zero_is_page_one else number
    )
    return {"networks": [_network_row(world, one) for one in page], "total": total}


@answers(routes.GET_NETWORK, _NETWORK)
def _get(call: Call) -> Any:
    return {"network": _wrapped(call.world, _known_network(call))}


def _known_network(call: Call) -> Network:
    wanted = call.fields["networkId"]
    found = next((one for one in call.world.networks_of(call.account) if one.id == wanted), None)
    if found is None:
        raise Refused(400, "NETWORK_NOT_FOUND", "network not found", {"networkId": wanted})
    return found


def _wrapped(world: World, network: Network) -> Any:
    row = _network_row(world, network)
    return [row] if world.quirks.networks_in_lists else row


def _network_row(world: World, network: Network) -> Wire:
    state = {"state": network.state, "error": ""}
    return {
        "Id": network.id,
        "user": network.account.name,
        "name": network.name,
        "state": [state] if world.quirks.networks_in_lists else state,
        "segment": network.segment,
        "clusterId": network.cluster.id,
        "Addresses": [
            {"Id": machine.id, "Ip": machine.place[1]}
            for machine in world.visible(network.account)
            if machine.place[0] == network.id
        ],
        "createTime": str(int(network.created_at)),
    }


@answers(routes.CREATE_NETWORK, _NEW_NETWORK)
def _create(call: Call) -> Any:
    world = call.world
    cluster = _cluster(call)
    if not cluster.instance_network:
        raise invalid("clusterId", f"{cluster.id} has no networks for instances")
    own = world.networks_of(call.account)
    if len(own) >= _MOST_NETWORKS:
        raise Refused(400, "NETWORK_MAX_LIMIT", f"at most {_MOST_NETWORKS} networks")
    made = Network(
        id=world.draw("network"),
        account=call.account,
        name=call.fields.get("name", ""),
        cluster=cluster,
        number=len(world.networks) % 250,
        created_at=world.clock.time(),
        state="creating",
        since=world.clock.monotonic(),
    )
    world.networks[made.id] = made
    if not world.quirks.network_create_tells:
        return {"network": []}
    return {"network": _wrapped(world, made)}


def _cluster(call: Call) -> StockCluster:
    wanted = call.fields["clusterId"]
    found = call.world.cluster(wanted)
    if found is None:
        raise Refused(400, "RESOURCE_NOT_FOUND", "cluster not found", {"clusterId": wanted})
    return found


@answers(routes.UPDATE_NETWORK, _NAMED_NETWORK)
def _rename(call: Call) -> Any:
    _known_network(call).name = call.fields["name"]
    return {}


@answers(routes.DELETE_NETWORK, _NETWORK)
def _delete(call: Call) -> Any:
    network = _known_network(call)
    if any(machine.place[0] == network.id for machine in _alive(call)):
        raise Refused(400, "NETWORK_IN_USE", "there are instances in the network")
    del call.world.networks[network.id]
    return {}


def _alive(call: Call) -> list[Any]:
    return [
        machine
        for machine in call.world.visible(call.account)
        if machine.status not in ("removed", GONE)
    ]


# -- network storages ------------------------------------------------------------------------------

_STORAGES: Final = (
    Rule(name="pageSize", kind=int, least=1),
    Rule(name="pageNo", kind=int, least=1),
    a_text("storageName"),
    a_text("storageId"),
)
_STORAGE: Final = (a_text("storageId", least=1, required=True),)
_NEW_STORAGE: Final = (
    a_text("clusterId", least=1, required=True),
    a_text("storageName", least=1, required=True),
    Rule(name="storageSize", kind=int, least=10, required=True),
)
_CHANGED_STORAGE: Final = (
    *_STORAGE,
    a_text("storageName", least=1, required=True),
    Rule(name="storageSize", kind=int, least=10, required=True),
)


@answers(routes.LIST_STORAGES, _STORAGES)
def _storages(call: Call) -> Any:
    fields = call.fields
    wanted = [
        one
        for one in call.world.storages_of(call.account)
        if part(fields.get("storageName"), one.name)
        and fields.get("storageId") in (None, "", one.id)
    ]
    page, total = page_of(call, wanted, fields.get("pageNo", 1) - 1)
    return {"data": [_storage_row(one) for one in page], "total": total}


def _storage_row(storage: Storage) -> Wire:
    return {
        "storageId": storage.id,
        "storageName": storage.name,
        "storageSize": storage.size,
        "clusterId": storage.cluster.id,
        "clusterName": storage.cluster.name,
        "price": "200",
    }


@answers(routes.CREATE_STORAGE, _NEW_STORAGE)
def _create_storage(call: Call) -> Any:
    world, fields = call.world, call.fields
    cluster = _cluster(call)
    if not cluster.network_storage:
        raise Refused(
            400,
            "CUR_CLUSTER_NETWORK_STORAGE_NOT_SUPPORT",
            f"{cluster.id} has no network storage",
            {"clusterId": cluster.id},
        )
    made = Storage(
        id=str(UUID(world.draw("storage", 16))),
        account=call.account,
        name=fields["storageName"],
        size=_allowed(fields["storageSize"]),
        cluster=cluster,
    )
    world.storages[made.id] = made
    return _storage_row(made) if world.quirks.storage_create_tells_all else made.id


def _allowed(size: int) -> int:
    if size > _LARGEST:
        raise Refused(400, "NETWORK_STORAGE_TOO_LARGE", f"at most {_LARGEST} GB")
    return size


def _known_storage(call: Call) -> Storage:
    wanted = call.fields["storageId"]
    found = next((one for one in call.world.storages_of(call.account) if one.id == wanted), None)
    if found is None:
        raise Refused(
            400, "NETWORK_STORAGE_NOT_FOUND", "network storage not found", {"storageId": wanted}
        )
    return found


@answers(routes.UPDATE_STORAGE, _CHANGED_STORAGE)
def _change_storage(call: Call) -> Any:
    storage, size = _known_storage(call), _allowed(call.fields["storageSize"])
    if size < storage.size:
        raise invalid("storageSize", f"must be {storage.size} or more: a storage only grows")
    storage.name, storage.size = call.fields["storageName"], size
    return {}


@answers(routes.DELETE_STORAGE, _STORAGE)
def _delete_storage(call: Call) -> Any:
    storage = _known_storage(call)
    if any(storage.id == one for machine in _alive(call) for one, _ in machine.mounts):
        raise Refused(400, "NETWORK_STORAGE_IN_USE", "the storage is mounted in an instance")
    volumes = (
        one for it in call.world.endpoints.values() for one in it.spec.get("volumeMounts", ())
    )
    if any(storage.id == one.get("id") for one in volumes):
        raise Refused(400, "NETWORK_STORAGE_IN_USE", "the storage is mounted by an endpoint")
    storage.deleted = True  # the records of removed machines still show what they had mounted
    return {}
