"""All the nouns of the cloud."""

import attrs

from ..._calling import Mode
from ._account import CloudAccount
from ._direct import Direct
from ._endpoints import CloudEndpoints
from ._instances import CloudInstances
from ._jobs import CloudJobs, CloudMetrics
from ._networks import CloudNetworks, CloudNetworkStorages
from ._prewarm import CloudImagePrewarm
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
    def jobs(self) -> CloudJobs[Mode]:
        """What the cloud does in the background."""
        return CloudJobs(self._session)

    @property
    def metrics(self) -> CloudMetrics[Mode]:
        """What the cloud measures of an instance."""
        return CloudMetrics(self._session)

    @property
    def networks(self) -> CloudNetworks[Mode]:
        """Private networks of instances."""
        return CloudNetworks(self._session)

    @property
    def network_storages(self) -> CloudNetworkStorages[Mode]:
        """Disks that stay when instances go."""
        return CloudNetworkStorages(self._session)

    @property
    def templates(self) -> CloudTemplates[Mode]:
        """Images and how to run them."""
        return CloudTemplates(self._session)

    @property
    def registries(self) -> CloudRegistries[Mode]:
        """Credentials of private image registries."""
        return CloudRegistries(self._session)

    @property
    def image_prewarm(self) -> CloudImagePrewarm[Mode]:
        """Images on nodes before an instance asks for them."""
        return CloudImagePrewarm(self._session)

    @property
    def endpoints(self) -> CloudEndpoints[Mode]:
        """Serverless endpoints."""
        return CloudEndpoints(self._session)

    @property
    def account(self) -> CloudAccount[Mode]:
        """What the account has, and what it was billed."""
        return CloudAccount(self._session)
