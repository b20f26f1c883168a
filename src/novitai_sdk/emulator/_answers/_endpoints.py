"""Serverless endpoints."""

from collections.abc import Mapping
from typing import Any, Final

from ...cloud import _routes as routes
from .._checks import Rule, a_text, is_port
from .._holdings import Endpoint
from .._state import Refused
from ._base import Call, Wire, answers, invalid, page_of

__all__: list[str] = []

_FIXED: Final[tuple[str, ...]] = ("products", "rootfsSize")

_LIMITS: Final[Mapping[str, int]] = {
    "minRootfsSize": 10,
    "maxRootfsSize": 500,
    "freeRootfsSize": 100,
    "minLocalVolumeSize": 10,
    "maxLocalVolumeSize": 500,
    "freeLocalVolumeSize": 30,
    "minWorkerNum": 0,
    "maxWorkerNum": 10,
    "minFreeTimeout": 1,
    "maxFreeTimeout": 3600,
    "minConcurrencyNum": 1,
    "maxConcurrencyNum": 100,
    "minQueueWaitTime": 1,
    "maxQueueWaitTime": 600,
    "minRequestNum": 1,
    "maxRequestNum": 100,
    "minGPUNum": 1,
    "maxGPUNum": 8,
}
_CUDA: Final = ("11.8", "12.4")
_WORKER_LIMITS: Final[Mapping[str, str]] = {
    "minNum": "WorkerNum",
    "maxNum": "WorkerNum",
    "freeTimeout": "FreeTimeout",
    "maxConcurrent": "ConcurrencyNum",
    "gpuNum": "GPUNum",
}


def _a_number(name: str, least: int = 0) -> Rule:
    return Rule(name=name, kind=int, least=least, required=True)


_SHARED: Final = (
    a_text("name", 220),
    a_text("clusterID"),
    Rule(
        name="workerConfig",
        kind=dict,
        required=True,
        items=(
            _a_number("minNum"),
            _a_number("maxNum", 1),
            _a_number("freeTimeout"),
            _a_number("maxConcurrent", 1),
            _a_number("gpuNum", 1),
            Rule(name="requestTimeout", kind=int, least=0),
            a_text("cudaVersion"),
        ),
    ),
    Rule(
        name="ports",
        kind=list,
        required=True,
        least=1,
        most=1,
        # Documented as a list; another client has sent the object alone since its live runs.
        bare=True,
        items=(a_text("port", 5, least=1, required=True),),
    ),
    Rule(
        name="policy",
        kind=dict,
        required=True,
        items=(
            Rule(name="type", choices=("queue", "concurrency"), required=True),
            _a_number("value", 1),
        ),
    ),
    Rule(
        name="image",
        kind=dict,
        required=True,
        items=(
            a_text("image", 511, least=1, required=True),
            a_text("authId"),
            a_text("command", 2047),
        ),
    ),
    Rule(
        name="volumeMounts",
        kind=list,
        items=(
            Rule(name="type", choices=("local", "network"), required=True),
            Rule(name="size", kind=int, least=0),
            a_text("id"),
            a_text("mountPath", least=1, required=True),
        ),
    ),
    Rule(
        name="envs",
        kind=list,
        most=100,
        items=(a_text("key", 511, least=1, required=True), a_text("value", 4095)),
    ),
    Rule(name="healthy", kind=dict, items=(a_text("path", least=1, required=True),)),
)
_NEW: Final = (
    Rule(
        name="endpoint",
        kind=dict,
        required=True,
        items=(
            *_SHARED,
            a_text("appName"),
            Rule(
                name="products",
                kind=list,
                least=1,
                required=True,
                items=(a_text("id", least=1, required=True),),
            ),
            Rule(name="rootfsSize", kind=int, least=1, required=True),
            Rule(name="type", choices=("sync", "async")),
        ),
    ),
)
_CHANGED: Final = (a_text("id", least=1, required=True), *_SHARED)
_LIST: Final = (
    Rule(name="pageSize", kind=int, least=1),
    Rule(name="pageNum", kind=int, least=0),
)


def _own(call: Call) -> list[Endpoint]:
    return [one for one in call.world.endpoints.values() if one.account is call.account]


def _known(call: Call, wanted: str) -> Endpoint:
    found = next((one for one in _own(call) if one.id == wanted), None)
    if found is None:
        raise Refused(400, "SERVERLESS_ENDPOINT_NOT_FOUND", "endpoint not found", {"id": wanted})
    return found


@answers(routes.GET_ENDPOINT_LIMITS)
def _limits(call: Call) -> Any:
    return {**_LIMITS, "cudaVersionList": list(_CUDA)}


@answers(routes.LIST_ENDPOINTS, _LIST)
def _list(call: Call) -> Any:
    page, total = page_of(call, _own(call), call.fields.get("pageNum", 0))
    return {"endpoints": [_row(one) for one in page], "total": total}


@answers(routes.GET_ENDPOINT, (a_text("id", least=1, required=True),))
def _get(call: Call) -> Any:
    row = _row(_known(call, call.fields["id"]))
    return {"endpoint": row} if call.world.quirks.endpoint_wrapped else row


def _row(one: Endpoint) -> Wire:
    return {
        **one.spec,
        "id": one.id,
        "appName": one.app_name,
        "url": f"https://{one.app_name}.serverless.novita.ai",
        "state": {"state": "serving", "error": "", "message": ""},
        "workers": [
            {
                "id": f"{one.id}-{number}",
                "state": {"state": "running"},
                "log": "",
                "metrics": {},
                "health": {},
            }
            for number in range(one.spec["workerConfig"]["minNum"])
        ],
        "log": f"https://logs.serverless.novita.ai/{one.id}",
    }


@answers(routes.CREATE_ENDPOINT, _NEW)
def _create(call: Call) -> Any:
    world, fields = call.world, call.fields["endpoint"]
    if "healthy" not in fields:
        raise invalid("endpoint.healthy", "is required")
    if "volumeMounts" not in fields:
        raise invalid("endpoint.volumeMounts", "is required")
    known = {product.id for product in world.stock.products}
    if any(product["id"] not in known for product in fields["products"]):
        raise Refused(400, "SERVERLESS_PRODUCT_NOT_FOUND", "product not found")
    _check(call, fields, "endpoint.")
    made = world.draw("endpoint")
    name = fields.get("appName") or made
    if any(one.app_name == name for one in world.endpoints.values()):
        raise Refused(400, "SERVERLESS_APP_NAME_IS_EXIST", "the app name is taken")
    world.endpoints[made] = Endpoint(id=made, account=call.account, app_name=name, spec=fields)
    return {"id": made}


def _check(call: Call, fields: Wire, path: str) -> None:
    if not is_port(fields["ports"][0]["port"]):
        raise invalid(f"{path}ports[0].port", "must be a port of yours")
    workers, policy = fields["workerConfig"], fields["policy"]
    if workers["minNum"] > workers["maxNum"]:
        raise invalid(f"{path}workerConfig.minNum", "must be at most maxNum")
    if "rootfsSize" in fields:
        _within("RootfsSize", fields["rootfsSize"], f"{path}rootfsSize")
    for name, limit in _WORKER_LIMITS.items():
        _within(limit, workers[name], f"{path}workerConfig.{name}")
    limit = "QueueWaitTime" if policy["type"] == "queue" else "RequestNum"
    _within(limit, policy["value"], f"{path}policy.value")
    _check_volumes(call, fields, path)


def _check_volumes(call: Call, fields: Wire, path: str) -> None:
    for index, one in enumerate(fields.get("volumeMounts", ())):
        where = f"{path}volumeMounts[{index}]"
        if one["type"] == "local":
            _within("LocalVolumeSize", one.get("size", 0), f"{where}.size")
        elif not one.get("id"):
            raise invalid(f"{where}.id", "is required for a network storage")
        elif not fields.get("clusterID"):
            raise invalid(f"{path}clusterID", "is required with a network storage")
        else:
            _check_storage(call, one["id"], fields["clusterID"], path)


def _check_storage(call: Call, wanted: str, cluster_id: str, path: str) -> None:
    storage = next((one for one in call.world.storages_of(call.account) if one.id == wanted), None)
    if storage is None:
        raise Refused(
            400, "NETWORK_STORAGE_NOT_FOUND", "network storage not found", {"storageId": wanted}
        )
    if storage.cluster.id != cluster_id:
        raise invalid(f"{path}clusterID", "must be the cluster of the network storage")


def _within(limit: str, value: int, where: str) -> None:
    """Raise Refused unless *value* keeps to what the limits tell."""
    least, most = _LIMITS[f"min{limit}"], _LIMITS[f"max{limit}"]
    if not least <= value <= most:
        raise invalid(where, f"must be {least} to {most}")


@answers(routes.UPDATE_ENDPOINT, _CHANGED)
def _update(call: Call) -> Any:
    fields = {name: value for name, value in call.fields.items() if name != "id"}
    known = _known(call, call.fields["id"])
    _check(call, fields, "")
    # What an update cannot say stays.
    known.spec = {**{name: known.spec[name] for name in _FIXED}, **fields}
    return {}


@answers(routes.DELETE_ENDPOINT, (a_text("name"), a_text("id")))
def _delete(call: Call) -> Any:
    # The key is `name` and the value an id, as documented.
    taken = call.world.quirks.endpoint_deleted_by_id and call.fields.get("id")
    wanted = call.fields.get("name") or taken
    if not wanted:
        raise invalid("name", "is required")
    del call.world.endpoints[_known(call, wanted).id]
    return {}
