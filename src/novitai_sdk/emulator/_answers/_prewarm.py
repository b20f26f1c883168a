"""Image prewarming."""

from typing import Any, Final

from ...cloud import _routes as routes
from .._checks import Rule, a_text
from .._holdings import Prewarm
from .._state import Refused
from ._base import Call, Wire, answers, page_of, part

__all__: list[str] = []

_MOST: Final = 5
_LARGEST: Final = 100
_SECONDS: Final = 1.0
_BYTES: Final = 8_000_000_000

_LIST: Final = (
    Rule(name="pageSize", kind=int, least=1),
    Rule(name="page", kind=int, least=1),
    a_text("state"),
    a_text("clusterId"),
    a_text("name"),
)
_NEW: Final = (
    a_text("imageUrl", 500, least=1, required=True),
    a_text("clusterId", least=1, required=True),
    a_text("repositoryAuth"),
    Rule(name="productIds", kind=list, texts=True),
    Rule(name="note"),
)
_EDIT: Final = (a_text("id", least=1, required=True), Rule(name="note"))
_DELETE: Final = (Rule(name="ids", kind=list, least=1, texts=True, required=True),)


def _own(call: Call) -> list[Prewarm]:
    return [one for one in call.world.prewarms.values() if one.account is call.account]


@answers(routes.GET_PREWARM_QUOTA)
def _quota(call: Call) -> Any:
    return {"total": len(_own(call)), "limit": _MOST, "perImageSize": _LARGEST}


@answers(routes.LIST_PREWARM, _LIST)
def _tasks(call: Call) -> Any:
    fields = call.fields
    rows = [_row(call, one) for one in _own(call)]
    wanted = [
        row
        for row in rows
        if fields.get("state") in (None, row["state"])
        and fields.get("clusterId") in (None, row["clusterId"])
        and (part(fields.get("name"), row["imageName"]) or part(fields.get("name"), row["note"]))
    ]
    page, total = page_of(call, wanted, fields.get("page", 1) - 1)
    return {"data": page, "total": total}


def _row(call: Call, one: Prewarm) -> Wire:
    world = call.world
    done = world.clock.monotonic() - one.since >= _SECONDS * world.life
    names = {product.id: product.name for product in world.stock.products}
    return {
        "id": one.id,
        "imageName": one.image.rsplit("/", 1)[-1].partition(":")[0],
        "imageUrl": one.image,
        "repositoryAuth": one.credential,
        "clusterId": one.cluster.id,
        "clusterName": one.cluster.name,
        "products": [
            {"productId": product, "productName": names[product]} for product in one.products
        ],
        "imageSize": str(_BYTES) if done else "0",
        "createTime": str(int(one.created_at)),
        "completeTime": str(int(one.created_at + _SECONDS * world.life)) if done else "0",
        "state": "Succeeded" if done else "Running",
        "note": one.note,
        "reason": [],
    }


@answers(routes.CREATE_PREWARM, _NEW)
def _create(call: Call) -> Any:
    world, fields = call.world, call.fields
    if world.quirks.first_prewarm_fails and not world.prewarm_failed:
        world.prewarm_failed = True
        raise Refused(500, "UNKNOWN", "internal error")
    cluster = world.cluster(fields["clusterId"])
    if cluster is None:
        raise Refused(400, "RESOURCE_NOT_FOUND", "cluster not found")
    credential = fields.get("repositoryAuth", "")
    if credential and all(one.id != credential for one in call.account.credentials):
        raise Refused(400, "RESOURCE_NOT_FOUND", "registry credential not found")
    products = fields.get("productIds", [])
    known = {product.id for product in world.stock.products}
    unknown = [one for one in products if one not in known]
    if unknown:
        raise Refused(400, "RESOURCE_NOT_FOUND", f"product not found: {unknown[0]}")
    if len(_own(call)) >= _MOST:
        raise Refused(400, "IMAGE_PREWARM_NUM_LIMIT", f"at most {_MOST} prewarm tasks")
    made = Prewarm(
        id=world.draw("prewarm"),
        account=call.account,
        image=fields["imageUrl"],
        credential=credential,
        cluster=cluster,
        products=tuple(products),
        note=fields.get("note", ""),
        created_at=world.clock.time(),
        since=world.clock.monotonic(),
    )
    world.prewarms[made.id] = made
    return {"id": made.id}


def _known(call: Call, wanted: str) -> Prewarm:
    found = next((one for one in _own(call) if one.id == wanted), None)
    if found is None:
        raise Refused(400, "RESOURCE_NOT_FOUND", "prewarm task not found", {"id": wanted})
    return found


@answers(routes.EDIT_PREWARM, _EDIT)
def _edit(call: Call) -> Any:
    _known(call, call.fields["id"]).note = call.fields.get("note", "")
    return {}


@answers(routes.DELETE_PREWARM, _DELETE)
def _delete(call: Call) -> Any:
    # All are known before the first is removed; one that is named twice is removed once.
    for one in {wanted: _known(call, wanted) for wanted in call.fields["ids"]}.values():
        del call.world.prewarms[one.id]
    return {}
