"""Credentials of private image registries."""

from collections.abc import Mapping
from typing import Any

from ...cloud import _routes as routes
from .._stock import StockCredential
from ._base import Call, answers


@answers(routes.LIST_REGISTRIES)
def _registries(call: Call) -> Any:
    return {"data": [_row(one) for one in call.account.credentials]}


def _row(one: StockCredential) -> Mapping[str, str]:
    """Return a row of the credentials list."""
    return {"id": one.id, "name": one.registry, "username": one.username, "password": one.password}
