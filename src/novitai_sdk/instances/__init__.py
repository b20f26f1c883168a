"""Managed instances: machines this library rents and looks after."""

from ._catalog import Catalog, Choice, Region
from ._instance import Instance
from ._noun import Instances
from ._operations import CreateOptions
from ._progress import WaitProgress
from ._rent import Rental

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
