"""Balance and bills of an account."""

from typing import Any

from ...cloud import _routes as routes
from ._base import Call, answers

__all__: list[str] = []


@answers(routes.GET_BALANCE)
def _balance(call: Call) -> Any:
    return {
        "availableBalance": "1250000",
        "cashBalance": "1000000",
        "creditLimit": "250000",
        "outstandingInvoices": "0",
    }


@answers(routes.GET_MONTHLY_BILL)
@answers(routes.LIST_BILLS)
@answers(routes.LIST_MONTHLY_BILLS)
@answers(routes.LIST_KEY_BILLS)
@answers(routes.LIST_TRANSACTIONS)
def _bills(call: Call) -> Any:
    return {"data": [], "total": 0}
