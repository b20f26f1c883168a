"""What the cloud reports, and is read whatever form most of it comes in."""

from collections.abc import Mapping
from typing import ClassVar, Final

from ..models._base import Model

__all__ = ["AN_ID", "Reported"]

AN_ID: Final[Mapping[str, object]] = {"id": True}
"""Metadata for the id of what was made: without a word for "no id" in its place, which would be looked for in vain."""


class Reported(Model):
    """A model that is only read: most of its fields may come in a form this version cannot read.

    Such a field stays at its default, a list loses the items at fault, and ``extra`` keeps the value as it came.
    """

    __slots__ = ()

    must_fit: ClassVar[tuple[str, ...]] = ()
    """The fields without which the whole is refused; those without a default are among them anyway."""
