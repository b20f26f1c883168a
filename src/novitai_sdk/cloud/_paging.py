"""All pages of a listing, or an error: a listing cut short never looks complete.

What the cloud's pages can be trusted with is little: page 0 and page 1 may be the same page, ``total`` may be
missing, things may come and go between two pages. So pages are walked from the first number the listing may have
until everything that was promised has been seen, and entries are told apart by id.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeVar

from ..errors import UnexpectedReply

__all__ = ["MOST_PAGES", "PAGE_SIZE", "Page", "all_pages"]

PAGE_SIZE: Final = 100
"""Entries asked for at once."""

MOST_PAGES: Final = 1000
"""A listing of more pages than this is taken for one that never ends."""


class Identified(Protocol):
    """Something with an id."""

    @property
    def id(self) -> str:
        """Opaque text."""
        ...


T_co = TypeVar("T_co", bound=Identified, covariant=True)
T = TypeVar("T", bound=Identified)


class Page(Protocol[T_co]):
    """One page of a listing."""

    @property
    def items(self) -> Sequence[T_co]:
        """What is on the page."""
        ...

    @property
    def total(self) -> int | None:
        """How many there are on all pages, if the cloud says."""
        ...


async def all_pages(
    fetch: Callable[[int], Awaitable[Page[T]]], *, first: int, operation: str
) -> tuple[T, ...]:
    """Return everything on all pages, each thing once.

    *first* is the lowest number the first page may have. Raises what *fetch* raises, and UnexpectedReply if the
    pages end before ``total`` things were seen or do not end at all.
    """
    seen: dict[str, T] = {}
    for number in range(first, first + MOST_PAGES):
        page = await fetch(number)
        before = len(seen)
        for item in page.items:
            seen.setdefault(item.id, item)
        if page.total is not None and len(seen) >= page.total:
            return tuple(seen.values())
        # Page 1 may repeat page 0, so only from the second page on does "nothing new" mean "the end".
        if len(seen) == before and number > max(first, 1):
            return _ended(seen, page.total, operation)
    raise UnexpectedReply(
        f"the listing does not end: {len(seen)} entries on {MOST_PAGES} pages",
        operation=operation,
        status=200,
    )


def _ended(seen: dict[str, T], total: int | None, operation: str) -> tuple[T, ...]:
    if total is None or len(seen) >= total:
        return tuple(seen.values())
    raise UnexpectedReply(
        f"the listing was cut short: {len(seen)} of {total} entries came",
        operation=operation,
        status=200,
    )
