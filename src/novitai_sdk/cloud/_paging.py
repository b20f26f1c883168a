"""A listing page by page: everything on it once, or an error. A listing cut short never looks complete.

What the cloud's pages can be trusted with is little: page 0 and page 1 may be the same page, ``total`` may be
missing or too small, things come and go between two pages. So pages are walked from the first number the listing may
have until one is not full, is empty or shows nothing new, and entries are told apart by id. ``total`` can show that
some are missing, and never that none is.

Where it is not yet known what stands is kept as spans of places. When ``total`` falls between two pages, what stood
behind the things that went has moved forward, some of it into pages already read, so those spans grow forward and the
pages they touch are read once more; when it rises, they grow backward. The one change no number betrays is that as
many things came as went between the same two pages.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from math import inf
from typing import Final, Generic, Protocol, TypeVar

from ..errors import UnexpectedReply

__all__ = ["MOST_PAGES", "PAGE_SIZE", "Identified", "Page", "Walk"]

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


_Span = tuple[float, float]
"""Places from the first, up to but not including the second."""

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


class Walk(Generic[T]):
    """One way through all pages of a listing, fetching as it goes.

    No generator: there is nothing to close when somebody stops halfway, and after an error the walk has not ended, as
    a generator's would, but asks for the same page again. *fetch* is given the number of a page, and how many seconds
    it may take if that is not as long as usual. *first* is the lowest number the first page may have.
    """

    def __init__(
        self,
        fetch: Callable[[int, float | None], Awaitable[Page[T]]],
        *,
        first: int,
        operation: str,
        page_size: int = PAGE_SIZE,
    ) -> None:
        self._fetch = fetch
        self._first = first
        self._operation = operation
        self._asked = page_size
        self._fetched = 0
        self._fetching = False
        self._ready: deque[T] = deque()
        self._seen: set[str] = set()
        self._size = 0  # how many fit on a page; known with the first page that has any
        self._unread: list[_Span]  # in pages until then, in places from there on
        self._furthest: int
        self._full = True  # whether the page read last may have others behind it
        self._total: int | None = None  # what the last page promised
        self._fewest: int | None = None  # the least that was ever promised
        self._went = 0  # by how much the total fell, all falls together
        self._came: int  # by how much it rose
        self._repeated: int  # pages with entries, all of them known
        self._start_over()

    @property
    def total(self) -> int | None:
        """How many things the last page promised on all pages, if it did."""
        return self._total

    async def step(self) -> T:
        """Return the next thing. Raises StopAsyncIteration after the last, UnexpectedReply if some are missing."""
        while not self._ready:
            page = await self.more()
            if page is None:
                raise StopAsyncIteration
            self._ready.extend(page)
        return self._ready.popleft()

    async def everything(self, left: Callable[[], float] | None = None) -> tuple[T, ...]:
        """Return all there is. Raises UnexpectedReply if some of it is missing.

        *left* says how many seconds are left for all of it; without, each page may take as long as usual.
        """
        found: list[T] = []
        while (page := await self.more(left)) is not None:
            found.extend(page)
        return tuple(found)

    async def more(self, left: Callable[[], float] | None = None) -> Sequence[T] | None:
        """Fetch one page and return what is new on it, or None after the last.

        Raises what fetching raises, and UnexpectedReply if the pages end before ``total`` things were seen or do not
        end at all.
        """
        if self._ended():
            return None
        if self._fetching:
            raise RuntimeError("two callers at once want the next page of one iteration")
        number = int(min(self._unread)[0] // (self._size or 1))
        self._fetching = True
        try:
            page = await self._fetch(number, None if left is None else left())
        finally:
            self._fetching = False
        self._fetched += 1
        fresh = [one for one in page.items if self._is_new(one)]
        if page.total is not None:
            self._promised(page.total)
        self._mark(page, number, fresh=bool(fresh))
        return fresh

    def _is_new(self, one: T) -> bool:
        known = one.id in self._seen
        self._seen.add(one.id)
        return not known

    def _promised(self, total: int) -> None:
        change = 0 if self._total is None else total - self._total
        self._total = total
        self._fewest = total if self._fewest is None else min(self._fewest, total)
        if change < 0:
            self._went -= change
            start = self._first * self._size
            self._unread = [(max(start, low + change), high) for low, high in self._unread]
        else:
            self._came += change
            self._unread = [(low, high + change) for low, high in self._unread]

    def _mark(self, page: Page[T], number: int, *, fresh: bool) -> None:
        """Take what was read out of what is unread."""
        if page.items and not self._size:
            promised = self._asked if page.total is None else min(self._asked, page.total)
            # Fewer than asked for and promised: the cloud has a limit of its own.
            self._size = self._asked if 0 < promised <= len(page.items) else len(page.items)
            self._unread = [(number * self._size, inf)]
        size = self._size or 1
        self._full = len(page.items) >= size
        end = inf if self._is_beyond(page, number, fresh=fresh) else (number + 1) * size
        self._unread = list(_without(self._unread, number * size, end))
        self._furthest = max(self._furthest, number)

    def _is_beyond(self, page: Page[T], number: int, *, fresh: bool) -> bool:
        """Whether there is nothing on this page or after it that was not seen."""
        # Page 1 may repeat page 0, so only from the second page on does "nothing new" mean "the end".
        if fresh or number <= max(self._first, 1, self._furthest):
            return False
        self._repeated += bool(page.items)
        # What came in at the front has moved known things on, whole pages of them if it was that many.
        return not page.items or self._repeated * self._size > self._came + self._size - 1

    def _ended(self) -> bool:
        seen = len(self._seen)
        # A page that is not full is the last one; unless that was promised it may as well have been cut short.
        if self._total is not None and seen >= self._total + self._went and not self._full:
            return True
        if not self._unread:
            if self._fewest is None or seen >= self._fewest:
                return True
            if not self._came:
                raise self._broken(f"was cut short: {seen} of {self._fewest} entries came")
            # What is missing may be what came meanwhile, in front of the pages already read.
            self._start_over()
        if self._fetched >= MOST_PAGES:
            raise self._broken(f"does not end: {seen} entries on {MOST_PAGES} pages")
        return False

    def _start_over(self) -> None:
        self._unread = [(self._first * (self._size or 1), inf)]
        self._furthest = self._first - 1
        self._came = self._repeated = 0

    def _broken(self, how: str) -> UnexpectedReply:
        return UnexpectedReply(f"the listing {how}", operation=self._operation, status=200)


def _without(spans: Iterable[_Span], low: float, high: float) -> Iterator[_Span]:
    for start, end in spans:
        for piece in ((start, min(end, low)), (max(start, high), end)):
            if piece[0] < piece[1]:
                yield piece
