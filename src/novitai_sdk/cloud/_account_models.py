"""What an account has, and what it was billed."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import attrs

from ..models._base import Json, Model, extra_field

__all__ = ["BALANCE_UNITS_PER_USD", "Balance", "Bills"]

BALANCE_UNITS_PER_USD: Final = 10_000
"""Amounts of an account are whole numbers of 1/10000 USD; prices of machines are not, see ``PRICE_UNITS_PER_USD``."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Balance(Model):
    """What an account has, in 1/10000 USD; the properties have it in USD."""

    available_balance: Decimal | None = None
    cash_balance: Decimal | None = None
    credit_limit: Decimal | None = None
    outstanding_invoices: Decimal | None = None
    extra: Mapping[str, Json] = extra_field()

    @property
    def available_usd(self) -> Decimal | None:
        """What can be spent, in USD."""
        return _usd(self.available_balance)

    @property
    def cash_usd(self) -> Decimal | None:
        """What was paid in and not spent, in USD."""
        return _usd(self.cash_balance)

    @property
    def credit_usd(self) -> Decimal | None:
        """How far it may be overdrawn, in USD."""
        return _usd(self.credit_limit)

    @property
    def outstanding_usd(self) -> Decimal | None:
        """What is billed and not paid, in USD."""
        return _usd(self.outstanding_invoices)


def _usd(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else amount / BALANCE_UNITS_PER_USD


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Bills(Model):
    """Bills as they came: what is in them is not documented, so it is all in ``extra``."""

    extra: Mapping[str, Json] = extra_field()
