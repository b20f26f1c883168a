"""What the emulated cloud answers: for each noun its rules, its answers, and how its records are written.

Written by hand and not by the converter that reads it: a mistake shared by both ends would never show.
"""

# Each of these adds its answers to the table.
from . import (
    _account,
    _changes,
    _endpoints,
    _instances,
    _jobs,
    _networks,
    _offers,
    _prewarm,
    _registries,
    _templates,
)
from ._base import ANSWERS, Call, Operation

__all__ = [
    "ANSWERS",
    "Call",
    "Operation",
    "_account",
    "_changes",
    "_endpoints",
    "_instances",
    "_jobs",
    "_networks",
    "_offers",
    "_prewarm",
    "_registries",
    "_templates",
]
