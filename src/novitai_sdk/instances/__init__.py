"""Managed instances: machines this library rents and looks after."""

from ._catalog import Catalog, Choice, Region
from ._instance import Instance
from ._noun import Instances
from ._progress import WaitProgress
from ._rent import Rental
from ._wanted import CreateOptions

__all__ = [
    "Catalog",
    "Choice",
    "CreateOptions",
    "Instance",
    "Instances",
    "Region",
    "Rental",
    "WaitProgress",
]
