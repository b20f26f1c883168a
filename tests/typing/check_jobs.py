"""Jobs of one's own on both faces: what type checkers make of handlers. Checked, never run."""

import concurrent.futures
from datetime import datetime, timedelta

import attrs
from typing_extensions import assert_type

from novitai_sdk import AsyncNovitai, Job, Novitai
from novitai_sdk.jobs import (
    Backoff,
    Change,
    Done,
    Future,
    JobContext,
    JobEvent,
    MemoryStore,
    Outcome,
    PlainJobContext,
)


@attrs.frozen
class Greeting:
    name: str


@attrs.frozen
class Farewell:
    name: str


async def greet(greeting: Greeting, context: JobContext) -> Outcome:
    return Done()


async def greet_and_no_more(greeting: Greeting, context: JobContext) -> None:
    assert_type(greeting.name, str)


def greet_in_a_thread(greeting: Greeting, context: PlainJobContext) -> Outcome | None:
    assert_type(context.stopped, bool)
    return None


def a_plain_client_takes_both_sorts(client: Novitai) -> None:
    register = client.jobs.handler(
        Greeting,
        type="greet",
        slots=2,
        max_attempts=5,
        policy=Backoff(first=1),
        time_limit=30,
        priority=3,
    )
    register(greet)
    register(greet_and_no_more)
    register(greet_in_a_thread)

    @client.jobs.handler(Farewell)
    def part(farewell: Farewell, context: PlainJobContext) -> None:
        context.commit(Change())

    part(Farewell(name="Ada"), 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused


def an_awaiting_client_takes_coroutine_functions(client: AsyncNovitai) -> None:
    register = client.jobs.handler(Greeting)
    register(greet)
    register(greet_and_no_more)
    register(greet_in_a_thread)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused


async def of_another_payload(farewell: Farewell, context: JobContext) -> None: ...


async def without_context(greeting: Greeting) -> None: ...


async def with_an_odd_answer(greeting: Greeting, context: JobContext) -> str:
    return "hello"


async def with_the_context_of_a_thread(greeting: Greeting, context: PlainJobContext) -> None: ...


def a_thread_with_the_context_of_a_coroutine(greeting: Greeting, context: JobContext) -> None: ...


def what_does_not_fit_is_refused(plain: Novitai, awaiting: AsyncNovitai) -> None:
    one = plain.jobs.handler(Greeting)
    one(of_another_payload)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue,reportArgumentType]  # must be refused
    one(without_context)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue,reportArgumentType]  # must be refused
    one(with_an_odd_answer)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue,reportArgumentType]  # must be refused
    one(with_the_context_of_a_thread)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue,reportArgumentType]  # must be refused
    one(a_thread_with_the_context_of_a_coroutine)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue,reportArgumentType]  # must be refused
    other = awaiting.jobs.handler(Greeting)
    other(of_another_payload)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused
    other(without_context)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused
    other(with_an_odd_answer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused
    plain.jobs.handler(Greeting, slot=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # must be refused


async def jobs_are_enqueued(plain: Novitai, awaiting: AsyncNovitai, at: datetime) -> None:
    assert_type(plain.jobs.enqueue(Greeting("Ada"), after=3, priority=4), Job)
    assert_type(await awaiting.jobs.enqueue(Greeting("Ada"), at=at, key="a"), Job)
    plain.jobs.enqueue(Greeting("Ada"), after=timedelta(3))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused
    assert_type(plain.jobs.declare(Greeting, type="greet"), None)
    assert_type(plain.jobs.work(timeout=3), None)
    assert_type(await awaiting.jobs.work(), None)


def hooks_are_told_of_events() -> None:
    def told(event: JobEvent) -> None:
        assert_type(event.job, Job)
        assert_type(event.elapsed, float)

    Novitai(on_job=told)
    AsyncNovitai(on_job=[told, print])
    Novitai(on_job=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must be refused


class Counting(MemoryStore):
    """What a store answers with can be named by whoever stands in front of one."""

    count = 0

    def commit(self, change: Change) -> Future[None]:
        self.count += 1
        return super().commit(change)


class Elsewhere(MemoryStore):
    """A store of somebody else may answer with a future of the standard library."""

    def commit(self, change: Change) -> concurrent.futures.Future[None]:
        return concurrent.futures.Future()


async def a_handler_may_name_what_it_begins(context: JobContext) -> None:
    begun: Future[None] = context.begin_commit(Change())
    assert_type(begun.result(), None)
