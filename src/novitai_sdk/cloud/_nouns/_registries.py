"""Credentials of private image registries."""

import attrs

from ..._calling import Mode, dual
from .. import _routes as routes
from .._template_models import RegistryCredential
from ._base import Noun

__all__ = ["CloudRegistries"]


@attrs.frozen
class CloudRegistries(Noun[Mode]):
    """Credentials of private image registries."""

    @dual
    async def list(self) -> tuple[RegistryCredential, ...]:
        """Return all credentials; their passwords are masked values."""
        return (await self._session.call(routes.LIST_REGISTRIES)).items
