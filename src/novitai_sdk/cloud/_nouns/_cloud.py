"""All the nouns of the cloud."""

import attrs

from ..._calling import Mode
from ._direct import Direct
from ._instances import CloudInstances
from ._products import CloudClusters, CloudProducts
from ._registries import CloudRegistries
from ._templates import CloudTemplates

__all__ = ["Cloud"]


@attrs.frozen
class Cloud(Direct[Mode]):
    """The GPU cloud, operation by operation."""

    @property
    def instances(self) -> CloudInstances[Mode]:
        """Instances as the cloud has them."""
        return CloudInstances(self._session)

    @property
    def products(self) -> CloudProducts[Mode]:
        """What can be rented, at what price."""
        return CloudProducts(self._session)

    @property
    def clusters(self) -> CloudClusters[Mode]:
        """Where machines stand."""
        return CloudClusters(self._session)

    @property
    def templates(self) -> CloudTemplates[Mode]:
        """Images and how to run them."""
        return CloudTemplates(self._session)

    @property
    def registries(self) -> CloudRegistries[Mode]:
        """Credentials of private image registries."""
        return CloudRegistries(self._session)
