"""An answer as it came."""

import json
from collections.abc import Mapping
from typing import cast

import attrs

from .._retry import Attempt
from ..models._base import Json, Model

__all__ = ["RawReply"]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RawReply(Model):
    """An answer as it came, whatever its status. Only the API key is masked, where an error repeats it."""

    status: int
    """HTTP status."""

    headers: Mapping[str, str] = attrs.field(hash=False, repr=False)
    """Names in lower case."""

    body: bytes = attrs.field(repr=False)
    """Unpacked; 32 MB at most."""

    attempts: tuple[Attempt, ...]
    """What was tried; the last one brought this answer."""

    def json(self) -> Json:
        """Return the body read as JSON. Raises ValueError for what is none."""
        return cast(Json, json.loads(self.body))
