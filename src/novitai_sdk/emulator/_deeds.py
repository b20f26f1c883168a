"""What a fault does to a request; :mod:`novitai_sdk.emulator.faults` says where and how often."""

from typing import Final, Literal

import attrs

__all__ = [
    "NO_STOCK",
    "Body",
    "Cut",
    "Deed",
    "Delay",
    "Drop",
    "OddStatus",
    "Pull",
    "Refusal",
    "Truncation",
]


NO_STOCK: Final = "INSUFFICIENT_RESOURCE"
"""The reason of a refusal for want of machines."""


@attrs.frozen(kw_only=True)
class Refusal:
    """Answer with an error body."""

    status: int
    reason: str
    message: str
    retry_after: float | str | None = None
    after_effect: bool = False


@attrs.frozen(kw_only=True)
class Drop:
    """Close the connection without a reply."""

    after_effect: bool


@attrs.frozen(kw_only=True)
class Body:
    """Do what was asked, then answer something else."""

    body: bytes
    content_type: str
    status: int = 200


@attrs.frozen(kw_only=True)
class Truncation:
    """Do what was asked, then break off the reply after ``keep`` bytes of its body."""

    keep: int


@attrs.frozen(kw_only=True)
class Delay:
    """Do what was asked, then let the reply wait for so many seconds of real time."""

    seconds: float


@attrs.frozen(kw_only=True)
class Pull:
    """Let the created instance fail in, or never leave, ``pulling``."""

    end: Literal["fail", "stick"]
    message: str = ""


@attrs.frozen(kw_only=True)
class OddStatus:
    """Show instances with this status."""

    status: str


@attrs.frozen(kw_only=True)
class Cut:
    """End lists after so many entries, while ``total`` goes on promising more."""

    keep: int


Deed = Refusal | Drop | Body | Truncation | Delay | Pull | OddStatus | Cut
