"""Slots on offer: a worker with nothing to do takes a job in the very change that stores it.

Without that, the worker is woken after the change and asks for the job in a second one. With it, the time between
storing a job and beginning it is that of a single commit, and nobody asks in vain.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import attrs

from ._store import Claim, Offer

__all__ = ["Delivery", "Standing", "fill", "left_over", "with_offered"]


@attrs.frozen
class Standing:
    """What one owner offers.

    Attributes:
        offer: Who is told.
        lease: Seconds for which the jobs are taken.
        slots: How many jobs of each type.
    """

    offer: Offer
    lease: float
    slots: Mapping[str, int]


Delivery = tuple[Offer, tuple[Claim, ...]]
Take = Callable[[str, Mapping[str, int], float, float], tuple[Claim, ...]]


def fill(
    offers: Mapping[str, Standing], due_by_type: Mapping[str, float], take: Take
) -> dict[str, Delivery]:
    """Let *offers* have the jobs that a change made due; answer with what each owner took.

    *due_by_type* tells when the first new job of a type is due, *take* takes jobs for an owner: slots, the time and the
    lease follow. An offer of which anything was taken is used up.
    """
    taken: dict[str, Delivery] = {}
    for owner, standing in offers.items():
        now = standing.offer.now()
        slots = {
            type_: standing.slots[type_]
            for type_, due in due_by_type.items()
            if due <= now and standing.slots.get(type_)
        }
        claims = take(owner, slots, now, standing.lease) if slots else _NONE
        if claims:
            taken[owner] = standing.offer, claims
    return taken


def with_offered(asked: Mapping[str, int], standing: Standing | None) -> dict[str, int]:
    """The slots that may be filled by a claim that takes *standing* back."""
    free = dict(asked)
    for type_, slots in standing.slots.items() if standing is not None else ():
        free[type_] = free.get(type_, 0) + slots
    return free


def left_over(
    free: Mapping[str, int], claims: tuple[Claim, ...], offer: Offer | None, lease: float
) -> Standing | None:
    """What stays on offer when *claims* have been taken."""
    if offer is None:
        return None
    taken = Counter(str(claim.job.type) for claim in claims)
    slots = {type_: free[type_] - taken[type_] for type_ in offer.types if type_ in free}
    return Standing(offer, lease, slots)


_NONE: Final[tuple[Claim, ...]] = ()
