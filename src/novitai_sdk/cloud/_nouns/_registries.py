"""Credentials of private image registries."""

import attrs

from ..._calling import Mode, dual
from ...models import Secret
from .. import _routes as routes
from .._limits import check_id, check_save_registry
from .._template_models import RegistryCredential, RegistryRef, SaveRegistry
from ._base import Noun

__all__ = ["CloudRegistries"]


@attrs.frozen
class CloudRegistries(Noun[Mode]):
    """Credentials of private image registries."""

    @dual
    async def list(self) -> tuple[RegistryCredential, ...]:
        """Return all credentials; their passwords are masked values."""
        return (await self._session.call(routes.LIST_REGISTRIES)).items

    @dual
    async def save(self, name: str, *, username: str, password: Secret) -> None:
        """Keep a credential for the registry *name*, its host or URL.

        The password is a Secret and not a text, so that no traceback with locals shows it.

        The cloud does not tell its id: find it by name in :meth:`list`. Never sent twice: each save keeps one more.
        Raises ValidationError before anything is sent.
        """
        body = SaveRegistry(name=name, username=username, password=password)
        check_save_registry(body)
        await self._session.call(routes.SAVE_REGISTRY, body)

    @dual
    async def delete(self, credential_id: str) -> None:
        """Remove a credential. Raises NotFound when there is none of that id, InvalidState while it is in use."""
        check_id("id", credential_id)
        await self._remove(routes.DELETE_REGISTRY, RegistryRef(id=credential_id))
