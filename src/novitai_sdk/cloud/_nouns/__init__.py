"""What a client can do with each noun of the cloud: the API as it is, typed, with no policy on top."""

from ._account import CloudAccount
from ._cloud import Cloud
from ._direct import CloudRaw
from ._endpoints import CloudEndpoints
from ._instances import CloudInstances
from ._jobs import CloudJobs, CloudMetrics
from ._networks import CloudNetworks, CloudNetworkStorages
from ._prewarm import CloudImagePrewarm
from ._products import CloudClusters, CloudProducts
from ._registries import CloudRegistries
from ._templates import CloudTemplates

__all__ = [
    "Cloud",
    "CloudAccount",
    "CloudClusters",
    "CloudEndpoints",
    "CloudImagePrewarm",
    "CloudInstances",
    "CloudJobs",
    "CloudMetrics",
    "CloudNetworkStorages",
    "CloudNetworks",
    "CloudProducts",
    "CloudRaw",
    "CloudRegistries",
    "CloudTemplates",
]
