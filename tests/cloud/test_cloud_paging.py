"""A listing is whole, or it is an error."""

from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk._calling import drive
from novitai_sdk.cloud._paging import MOST_PAGES, all_pages
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

    async def fetch(self, number: int) -> Leaf:
        self.asked.append(number)
        return Leaf([Thing(one) for one in self.pages.get(number, "")], self.total)


def read(book: Book, first: int = 0) -> str:
    found = drive(all_pages(book.fetch, first=first, operation="things.list"))
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

    async def fetch(number: int) -> Leaf:
        leaf = await book.fetch(number)
        book.total = 3  # one was deleted between the pages
        return leaf

    assert len(drive(all_pages(fetch, first=0, operation="things.list"))) == 3


@pytest.mark.parametrize(
    "pages", [{}, {0: "ab"}, {0: "ab", 1: "ab"}, {1: "ab", 2: "c"}, {0: "ab", 1: "ab", 2: "ab"}]
)
def test_fewer_than_promised_is_an_error(pages: dict[int, str]) -> None:
    with pytest.raises(UnexpectedReply, match=r"things\.list: .*cut short: \d of 5") as caught:
        read(Book(pages, 5))
    assert caught.value.operation == "things.list"


def test_a_listing_without_end_is_an_error() -> None:
    asked: list[int] = []

    async def fetch(number: int) -> Leaf:
        asked.append(number)
        return Leaf([Thing(str(number))], None)

    with pytest.raises(UnexpectedReply, match="does not end"):
        drive(all_pages(fetch, first=0, operation="things.list"))
    assert len(asked) == MOST_PAGES


def test_a_failing_page_fails_the_listing() -> None:
    async def fetch(number: int) -> Leaf:
        if number:
            raise ConnectionError
        return Leaf([Thing("a")], 2)

    with pytest.raises(ConnectionError):
        drive(all_pages(fetch, first=0, operation="things.list"))


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

    async def fetch(number: int) -> Leaf:
        index = max(0, number - 1) if repeats else number - first
        page = names[index * size : (index + 1) * size]
        return Leaf([Thing(name) for name in page], count if says else None)

    found = drive(all_pages(fetch, first=first, operation="things.list"))
    assert [thing.id for thing in found] == names
