"""What an account has, and what it was billed."""

import attrs

from ..._calling import Mode, dual
from .. import _routes as routes
from .._account_models import Balance, Bills
from ._base import Noun

__all__ = ["CloudAccount"]


@attrs.frozen
class CloudAccount(Noun[Mode]):
    """Balance and bills. What is in a bill is not documented: it is in ``extra`` as it came."""

    @dual
    async def balance(self) -> Balance:
        """Return what the account has."""
        return await self._session.call(routes.GET_BALANCE)

    @dual
    async def monthly_bill(self) -> Bills:
        """Return the bill of the month."""
        return await self._session.call(routes.GET_MONTHLY_BILL)

    @dual
    async def bills(self) -> Bills:
        """Return the bills."""
        return await self._session.call(routes.LIST_BILLS)

    @dual
    async def monthly_bills(self) -> Bills:
        """Return the bills by month."""
        return await self._session.call(routes.LIST_MONTHLY_BILLS)

    @dual
    async def key_bills(self) -> Bills:
        """Return the bills by API key."""
        return await self._session.call(routes.LIST_KEY_BILLS)

    @dual
    async def transactions(self) -> Bills:
        """Return what was paid in and out."""
        return await self._session.call(routes.LIST_TRANSACTIONS)
