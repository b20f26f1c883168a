"""A Novita GPU cloud on your own machine: its states, stock, quirks, errors and faults, driven by a clock.

>>> from novitai_sdk.emulator import Emulator
>>> cloud = Emulator()
>>> cloud.get("/clusters").json()["data"][1]["name"]
'US-WEST-01'

``with Emulator() as cloud`` serves it over HTTP at ``cloud.base_url``; ``python -m novitai_sdk.emulator`` does so from
the command line.
"""

from . import faults
from ._emulator import Dropped, Emulator, Seen
from ._http import Answer
from ._quirks import Quirks
from ._state import Clock, EmulatedInstance
from ._stock import (
    DEFAULT_STOCK,
    Stock,
    StockCluster,
    StockCpuProduct,
    StockCredential,
    StockProduct,
    StockTemplate,
)
from .faults import Fault

__all__ = [
    "DEFAULT_STOCK",
    "Answer",
    "Clock",
    "Dropped",
    "EmulatedInstance",
    "Emulator",
    "Fault",
    "Quirks",
    "Seen",
    "Stock",
    "StockCluster",
    "StockCpuProduct",
    "StockCredential",
    "StockProduct",
    "StockTemplate",
    "faults",
]
