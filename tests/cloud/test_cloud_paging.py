"""A listing is whole, or it is an error."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk._calling import drive
from novitai_sdk.cloud._paging import MOST_PAGES, Walk
from novitai_sdk.errors import UnexpectedReply


@attrs.frozen
class Thing:
    id: str


@attrs.frozen
class Leaf:
    items: Sequence[Thing]
    total: int | None


class Book:
    """Pages by number; beyond the last there is nothing."""

    def __init__(self, pages: dict[int, str], total: int | None) -> None:
        self.pages = pages
        self.total = total
        self.asked: list[int] = []

    async def fetch(self, number: int, _: float | None) -> Leaf:
        self.asked.append(number)
        return Leaf([Thing(one) for one in self.pages.get(number, "")], self.total)


def read(book: Book, first: int = 0) -> str:
    found = drive(Walk(book.fetch, first=first, operation="things.list").everything())
    return "".join(thing.id for thing in found)


def test_one_page_with_everything_is_one_call() -> None:
    book = Book({0: "abc"}, 3)
    assert read(book) == "abc"
    assert book.asked == [0]


def test_nothing_at_all_is_one_call() -> None:
    book = Book({}, 0)
    assert read(book) == ""
    assert book.asked == [0]


def test_pages_may_start_at_0() -> None:
    assert read(Book({0: "ab", 1: "cd", 2: "e"}, 5)) == "abcde"


def test_page_1_may_repeat_page_0() -> None:
    assert read(Book({0: "ab", 1: "ab", 2: "cd", 3: "e"}, 5)) == "abcde"


def test_page_0_may_be_empty() -> None:
    assert read(Book({1: "ab", 2: "cd", 3: "e"}, 5)) == "abcde"


@pytest.mark.parametrize(
    "pages", [{0: "ab", 1: "cd"}, {0: "ab", 1: "ab", 2: "cd"}, {0: "ab", 1: "cd", 2: "cd", 3: "cd"}]
)
def test_without_a_total_an_empty_or_repeating_page_is_the_end(pages: dict[int, str]) -> None:
    assert read(Book(pages, None)) == "abcd"


def test_a_thing_that_moved_to_the_next_page_is_listed_once() -> None:
    assert read(Book({0: "ab", 1: "bc", 2: "d"}, 4)) == "abcd"


def test_a_total_that_shrinks_meanwhile_is_believed() -> None:
    book = Book({0: "ab", 1: "c"}, 4)

    async def fetch(number: int, _: float | None) -> Leaf:
        leaf = await book.fetch(number, None)
        book.total = 3  # one was deleted between the pages
        return leaf

    assert len(drive(Walk(fetch, first=0, operation="things.list").everything())) == 3


@pytest.mark.parametrize(
    "pages", [{}, {0: "ab"}, {0: "ab", 1: "ab"}, {1: "ab", 2: "c"}, {0: "ab", 1: "ab", 2: "ab"}]
)
def test_fewer_than_promised_is_an_error(pages: dict[int, str]) -> None:
    with pytest.raises(UnexpectedReply, match=r"things\.list: .*cut short: \d of 5") as caught:
        read(Book(pages, 5))
    assert caught.value.operation == "things.list"


@pytest.mark.parametrize("total", [-1, 0, 1, 2, 3, 4, 6])
@pytest.mark.parametrize("repeats", [True, False])
def test_a_total_that_promises_too_little_ends_no_listing(total: int, repeats: bool) -> None:
    pages = {0: "ab", 1: "ab", 2: "cd", 3: "ef", 4: "g"}
    if not repeats:
        pages = {0: "ab", 1: "cd", 2: "ef", 3: "g"}
    steps = Walk(Book(pages, total).fetch, first=0, operation="things.list", page_size=2)
    assert "".join(thing.id for thing in drive(steps.everything())) == "abcdefg"


def test_a_listing_without_end_is_an_error() -> None:
    asked: list[int] = []

    async def fetch(number: int, _: float | None) -> Leaf:
        asked.append(number)
        return Leaf([Thing(str(number))], None)

    with pytest.raises(UnexpectedReply, match="does not end"):
        drive(Walk(fetch, first=0, operation="things.list").everything())
    assert len(asked) == MOST_PAGES


def test_a_failing_page_fails_the_listing() -> None:
    async def fetch(number: int, _: float | None) -> Leaf:
        if number:
            raise ConnectionError
        return Leaf([Thing("a")], 2)

    with pytest.raises(ConnectionError):
        drive(Walk(fetch, first=0, operation="things.list").everything())


@given(
    count=st.integers(0, 40),
    size=st.integers(1, 10),
    first=st.sampled_from([0, 1]),
    repeats=st.booleans(),
    says=st.booleans(),
)
def test_every_dialect_of_paging_gives_everything_once(
    count: int, size: int, first: int, repeats: bool, says: bool
) -> None:
    names = [f"t{number}" for number in range(count)]

    async def fetch(number: int, _: float | None) -> Leaf:
        index = max(0, number - 1) if repeats else number - first
        page = names[index * size : (index + 1) * size]
        return Leaf([Thing(name) for name in page], count if says else None)

    found = drive(Walk(fetch, first=first, operation="things.list").everything())
    assert [thing.id for thing in found] == names


def walk(book: "Book | Shelf", page_size: int = 100) -> Walk[Thing]:
    return Walk(book.fetch, first=0, operation="things.list", page_size=page_size)


def test_pages_are_fetched_when_they_are_needed() -> None:
    book = Book({0: "ab", 1: "cd", 2: "e"}, 5)
    steps = walk(book)
    assert book.asked == []
    assert [drive(steps.step()).id for _ in range(2)] == ["a", "b"]
    assert book.asked == [0]
    assert drive(steps.step()).id == "c"
    assert book.asked == [0, 1]


def test_what_came_before_the_cut_is_given_and_then_the_error_each_time() -> None:
    steps = walk(Book({0: "ab"}, 5))
    assert [drive(steps.step()).id for _ in range(2)] == ["a", "b"]
    for _ in range(3):
        with pytest.raises(UnexpectedReply, match="cut short: 2 of 5"):
            drive(steps.step())


def test_an_end_stays_the_end() -> None:
    steps = walk(Book({0: "a"}, 1))
    drive(steps.step())
    for _ in range(3):
        with pytest.raises(StopAsyncIteration):
            drive(steps.step())


def test_after_an_error_the_same_page_is_asked_for_again() -> None:
    book = Book({0: "ab", 1: "cd"}, 4)
    broken = [1]

    async def fetch(number: int, _: float | None) -> Leaf:
        if number in broken:
            broken.remove(number)
            raise ConnectionError
        return await book.fetch(number, None)

    steps = Walk(fetch, first=0, operation="things.list")
    assert [drive(steps.step()).id for _ in range(2)] == ["a", "b"]
    with pytest.raises(ConnectionError):
        drive(steps.step())
    assert [drive(steps.step()).id for _ in range(2)] == ["c", "d"]


def test_two_callers_at_once_are_told_so() -> None:
    async def fetch(number: int, _: float | None) -> Leaf:
        with pytest.raises(RuntimeError, match="two callers at once"):
            await steps.step()
        return Leaf([Thing("a")], 1)

    steps = Walk(fetch, first=0, operation="things.list")
    assert drive(steps.step()).id == "a"


@pytest.mark.anyio
async def test_an_iteration_given_up_in_a_page_goes_on_with_that_page() -> None:
    book = Book({0: "ab", 1: "cd"}, 4)
    scope = anyio.CancelScope()

    async def fetch(number: int, _: float | None) -> Leaf:
        if number == 1:
            scope.cancel()
        await anyio.lowlevel.checkpoint()
        return await book.fetch(number, None)

    steps = Walk(fetch, first=0, operation="things.list")
    assert [(await steps.step()).id for _ in range(2)] == ["a", "b"]
    with scope:
        await steps.step()
    assert scope.cancelled_caught
    assert [(await steps.step()).id for _ in range(2)] == ["c", "d"]
    assert book.asked == [0, 1]


# -- listings that change while they are read ------------------------------------------------------


class Shelf:
    """A listing in the order of its making, that something happens to before each fetch."""

    def __init__(
        self, names: Sequence[str], size: int, *, newest_first: bool, repeats: bool, says: bool
    ) -> None:
        self.names = list(names)
        self.size = size
        self.newest_first = newest_first
        self.repeats = repeats
        self.says = says
        self.made = 0
        self.fetches = 0
        self.events: list[Callable[[], None]] = []

    def make(self, count: int) -> None:
        for _ in range(count):
            self.made += 1
            name = f"new{self.made}"
            self.names[:] = [name, *self.names] if self.newest_first else [*self.names, name]

    def remove(self, places: Sequence[int]) -> None:
        for place in places:
            if self.names:
                del self.names[place % len(self.names)]

    async def fetch(self, number: int, _: float | None) -> Leaf:
        if self.fetches and self.events:
            self.events.pop(0)()
        self.fetches += 1
        index = max(0, number - 1) if self.repeats else number
        page = self.names[index * self.size : (index + 1) * self.size]
        return Leaf([Thing(name) for name in page], len(self.names) if self.says else None)


# Between two pages something is made, or something is removed: what no total betrays is both at once.
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("make"), st.integers(0, 4)),
        st.tuples(st.just("remove"), st.lists(st.integers(0, 60), max_size=6)),
    ),
    max_size=30,
)


@given(
    count=st.integers(0, 30),
    size=st.integers(1, 7),
    newest_first=st.booleans(),
    repeats=st.booleans(),
    events=EVENTS,
)
def test_what_is_there_all_the_time_is_listed_once_whatever_comes_and_goes(
    count: int, size: int, newest_first: bool, repeats: bool, events: list[tuple[str, Any]]
) -> None:
    names = [f"t{number}" for number in range(count)]
    shelf = Shelf(names, size, newest_first=newest_first, repeats=repeats, says=True)
    shelf.events = [partial(getattr(shelf, what), how) for what, how in events]
    found = drive(walk(shelf, page_size=size).everything())
    listed = [thing.id for thing in found]
    assert len(set(listed)) == len(listed)
    stayed = [name for name in names if name in shelf.names]
    assert set(stayed) <= set(listed)
    assert shelf.fetches <= MOST_PAGES


@given(count=st.integers(0, 30), size=st.integers(1, 7), events=EVENTS)
def test_without_a_total_a_changing_listing_still_ends_and_repeats_nothing(
    count: int, size: int, events: list[tuple[str, Any]]
) -> None:
    names = [f"t{number}" for number in range(count)]
    shelf = Shelf(names, size, newest_first=True, repeats=True, says=False)
    shelf.events = [partial(getattr(shelf, what), how) for what, how in events]
    found = drive(walk(shelf, page_size=size).everything())
    assert len({thing.id for thing in found}) == len(found)


@given(
    count=st.integers(1, 30), size=st.integers(1, 7), cut=st.integers(0, 29), repeats=st.booleans()
)
def test_a_cut_listing_never_looks_complete(count: int, size: int, cut: int, repeats: bool) -> None:
    names = [f"t{number}" for number in range(count)]
    shelf = Shelf(names[: min(cut, count - 1)], size, newest_first=True, repeats=repeats, says=True)

    async def fetch(number: int, _: float | None) -> Leaf:
        return attrs.evolve(await shelf.fetch(number, None), total=count)

    with pytest.raises(UnexpectedReply, match="cut short"):
        drive(Walk(fetch, first=0, operation="things.list").everything())
