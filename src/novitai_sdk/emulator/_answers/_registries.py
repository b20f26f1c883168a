"""Credentials of private image registries."""

from collections.abc import Mapping
from typing import Any, Final

from ...cloud import _routes as routes
from .._checks import a_text
from .._life import GONE
from .._state import Refused
from .._stock import StockCredential
from ._base import Call, answers

_NEW: Final = (
    a_text("name", least=1, required=True),
    a_text("username", 511, least=1, required=True),
    a_text("password", 1024, least=1, required=True),
)


@answers(routes.LIST_REGISTRIES)
def _registries(call: Call) -> Any:
    masked = call.world.quirks.passwords_masked
    return {"data": [_row(one, masked=masked) for one in call.account.credentials]}


def _row(one: StockCredential, *, masked: bool) -> Mapping[str, str]:
    """Return a row of the credentials list."""
    password = "******" if masked else one.password
    return {"id": one.id, "name": one.registry, "username": one.username, "password": password}


@answers(routes.SAVE_REGISTRY, _NEW)
def _save(call: Call) -> Any:
    account, fields = call.account, call.fields
    made = StockCredential(
        id=call.world.draw("credential", 16),
        registry=fields["name"],
        username=fields["username"],
        password=fields["password"],
    )
    account.credentials = (*account.credentials, made)
    return None if call.world.quirks.registry_save_says_nothing else {}


@answers(routes.DELETE_REGISTRY, (a_text("id", least=1, required=True),))
def _delete(call: Call) -> Any:
    account, wanted = call.account, call.fields["id"]
    kept = tuple(one for one in account.credentials if one.id != wanted)
    if len(kept) == len(account.credentials):
        raise Refused(400, "RESOURCE_NOT_FOUND", "registry credential not found", {"id": wanted})
    used = {one.credential for one in call.world.prewarms.values()} | {
        machine.spec.get("imageAuthId")
        for machine in call.world.visible(account)
        if machine.status not in ("removed", GONE)
    }
    if wanted in used:
        raise Refused(400, "IMAGE_AUTH_IN_USE", "the credential is in use")
    account.credentials = kept
    return {}
