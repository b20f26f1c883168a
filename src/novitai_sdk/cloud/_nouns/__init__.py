"""What a client can do with each noun of the cloud: the API as it is, typed, with no policy on top."""

from ._cloud import Cloud
from ._direct import CloudRaw
from ._instances import CloudInstances
from ._jobs import CloudJobs, CloudMetrics
from ._networks import CloudNetworks, CloudNetworkStorages
from ._prewarm import CloudImagePrewarm
from ._products import CloudClusters, CloudProducts
from ._registries import CloudRegistries
from ._templates import CloudTemplates

__all__ = [
    "Cloud",
    "CloudClusters",
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
