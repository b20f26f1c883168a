"""A program's own jobs: what is done with a payload is a function, on every face."""

import logging
import math
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from functools import partial, wraps
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from faces import Face
from moments import block_until, until

from novitai_sdk import AsyncNovitai, Novitai
from novitai_sdk.jobs import (
    Change,
    ClaimLost,
    Done,
    GiveUp,
    JobContext,
    JobEvent,
    JobRefused,
    MemoryStore,
    Outcome,
    PlainJobContext,
    RunnerFailed,
    Steps,
    Write,
    new_job,
)
from novitai_sdk.models import JobPriority, JobStatus, Secret

AT_ONCE = Steps(waits=(0,), jitter=0)
SOON = 10.0


@attrs.frozen
class Line:
    text: str
    times: int = 1


@attrs.frozen
class PrintReport:
    title: str
    lines: tuple[Line, ...] = ()
    made: datetime | None = None
    copies: int = attrs.field(default=1, validator=attrs.validators.ge(1))


REPORT = PrintReport(
    title="June",
    lines=(Line("one"), Line("two", times=2)),
    made=datetime(2026, 6, 30, tzinfo=timezone.utc),
)


def test_a_payload_arrives_as_it_was_sent(face: Face):
    seen: list[Any] = []

    async def story(client: Any, done: Any) -> None:
        @client.jobs.handler(PrintReport)
        async def print_report(report: PrintReport, context: JobContext) -> None:
            seen.append((report, context.job.id, str(context.job.type)))

        job = await done(client.jobs.enqueue(REPORT))
        ended = await done(client.jobs.wait(job.id, timeout=SOON))
        assert (ended.status, ended.attempts) == ("completed", 1)
        assert seen == [(REPORT, job.id, "print_report")]
        assert job.payload["lines"] == [{"text": "one", "times": 1}, {"text": "two", "times": 2}]

    face.tell(story)


def test_an_ordinary_function_gets_a_thread_of_its_own(new):
    threads: list[str] = []
    client = new()

    @client.jobs.handler(PrintReport, type="slow")
    def slow(report: PrintReport, context: PlainJobContext) -> Outcome:
        threads.append(threading.current_thread().name)
        context.commit(Change(writes=(Write(kind="half", key=context.job.id, body={}),)))
        assert not context.stopped
        assert not context.last_attempt
        assert context.claim.job == context.job
        return Done(writes=(Write(kind="whole", key=context.job.id, body={"title": report.title}),))

    store = MemoryStore()
    with Novitai(settings=client.settings, store=store) as other:
        other.jobs.handler(PrintReport, type="slow")(slow)
        job = other.jobs.enqueue(REPORT)
        assert other.jobs.wait(job.id, timeout=SOON).status == "completed"
        (whole,) = store.scan("whole").result(SOON)
        assert whole.body == {"title": "June"}
        assert len(store.scan("half").result(SOON)) == 1
    assert threads == [f"novitai-job-{job.id}"]
    assert not [one for one in threading.enumerate() if one.name == threads[0]]


class Unspeakable(BaseException):
    def __repr__(self) -> str:
        raise LookupError("no words")


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (LookupError("no paper"), "LookupError: no paper"),
        (SystemExit(3), "SystemExit(3)"),
        (Unspeakable(), "the handler raised Unspeakable"),
    ],
    ids=["an error", "an exit", "what cannot even be shown"],
)
def test_a_function_that_raises_fails_its_attempt_and_nothing_else(new, raised, told):
    client = new()

    @client.jobs.handler(PrintReport, max_attempts=2, policy=AT_ONCE)
    def broken(report: PrintReport, context: PlainJobContext) -> None:
        raise raised

    ended = client.jobs.wait(client.jobs.enqueue(REPORT).id, timeout=SOON)
    assert (ended.status, ended.attempts) == ("failed", 2)
    assert told in ended.error
    assert client.jobs.health().running


def test_a_time_limit_ends_the_attempt_and_the_function_is_told(new, caplog):
    caplog.set_level(logging.INFO, logger="novitai_sdk")
    client = new()
    let_go, contexts, refused = threading.Event(), [], []

    @client.jobs.handler(PrintReport, max_attempts=1, time_limit=0.02)
    def endless(report: PrintReport, context: PlainJobContext) -> None:
        contexts.append(context)
        let_go.wait(SOON)
        try:
            context.commit(Change(writes=(Write(kind="late", key="late", body={}),)))
        except ClaimLost as error:
            refused.append(error)

    ended = client.jobs.wait(client.jobs.enqueue(REPORT).id, timeout=SOON)
    assert (ended.status, ended.attempts) == ("failed", 1)
    assert "0.02 seconds" in ended.error
    assert contexts[0].stopped
    (told,) = [record for record in caplog.records if "still at work, in thread" in record.message]
    assert (told.job_id, told.job_type, told.attempt) == (ended.id, "print_report", 1)
    let_go.set()
    block_until(lambda: refused)


@pytest.mark.parametrize(
    ("asked", "attempts", "status"), [(None, 3, "failed"), (1, 1, "failed")], ids=["type", "job"]
)
def test_how_often_it_is_tried_is_said_with_the_type_or_with_the_job(face, asked, attempts, status):
    async def story(client: Any, done: Any) -> None:
        @client.jobs.handler(PrintReport, max_attempts=3, policy=AT_ONCE, priority=4, slots=1)
        async def broken(report: PrintReport, context: JobContext) -> None:
            raise OSError("no paper")

        job = await done(client.jobs.enqueue(REPORT, max_attempts=asked))
        ended = await done(client.jobs.wait(job.id, timeout=SOON))
        assert (ended.status, ended.attempts, ended.priority) == (status, attempts, 4)

    face.tell(story)


def test_a_payload_that_does_not_fit_fails_at_once_with_every_problem(face: Face):
    called: list[str] = []
    store = MemoryStore()

    async def story(client: Any, done: Any) -> None:
        @client.jobs.handler(PrintReport, max_attempts=5)
        async def print_report(report: PrintReport, context: JobContext) -> None:
            called.append("yes")

        first = await done(client.jobs.enqueue(REPORT))
        await done(client.jobs.wait(first.id, timeout=SOON))
        # As another version of the program stored it.
        old = new_job("print_report", {"lines": [{"text": 3}], "copies": "two"}, now=time.time())
        store.commit(Change(jobs=(old,))).result(SOON)
        ended = await done(client.jobs.wait(old.job.id, timeout=SOON))
        assert (ended.status, ended.attempts) == ("failed", 1)
        for path in ("$.title", "$.lines[0].text", "$.copies"):
            assert path in ended.error
        assert "does not fit PrintReport" in ended.error

    face.tell(story, store=store)
    assert called == ["yes"]


def test_a_handler_that_answers_nonsense_is_told_so(face: Face):
    async def story(client: Any, done: Any) -> None:
        @client.jobs.handler(PrintReport, max_attempts=1)
        async def odd(report: PrintReport, context: JobContext) -> Any:
            return "printed"

        job = await done(client.jobs.enqueue(REPORT))
        ended = await done(client.jobs.wait(job.id, timeout=SOON))
        assert "answered 'printed', not an outcome" in ended.error

    face.tell(story)


def test_a_payload_nobody_knows_is_refused_before_anything_is_stored(face: Face):
    async def story(client: Any, done: Any) -> None:
        with pytest.raises(JobRefused, match=r"@client\.jobs\.handler\(PrintReport\)"):
            await done(client.jobs.enqueue(REPORT))
        assert (await done(client.jobs.stats())).total_jobs == 0

    face.tell(story)


def test_what_is_asked_of_a_job_is_refused_with_every_problem(face: Face):
    async def story(client: Any, done: Any) -> None:
        client.jobs.declare(PrintReport)
        naive = datetime.now(timezone.utc).replace(tzinfo=None)
        with pytest.raises(JobRefused) as refused:
            await done(client.jobs.enqueue(REPORT, after=-1, at=naive, priority=7, max_attempts=0))
        for part in ("give one of them", "after is -1", "no time zone", "priority 7", "is 0"):
            assert part in str(refused.value)
        assert (await done(client.jobs.stats())).total_jobs == 0

    face.tell(story)


HALF = "\udcff"  # half a character, as the names of some files have it
UTC = timezone.utc


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"after": 1e12}, "after is 1000000000000.0, which is beyond the year 9999"),
        ({"after": math.inf}, "after is inf, not a number of seconds"),
        ({"after": math.nan}, "after is nan"),
        ({"after": "5"}, "after is '5'"),
        ({"after": 10**400}, "after is 1000"),
        ({"at": datetime.max.replace(tzinfo=UTC)}, "at is 9999-12-31 23:59:59.999999+00:00"),
        ({"at": 5}, "at is 5, not a time"),
        ({"priority": 2.5}, "priority 2.5 is not 1 to 4"),
        ({"priority": "3"}, "priority '3' is not 1 to 4"),
        ({"priority": True}, "priority True is not 1 to 4"),
        ({"max_attempts": 2.5}, "max_attempts is 2.5, not a whole number"),
        ({"max_attempts": math.nan}, "max_attempts is nan"),
        ({"max_attempts": 2**63}, "max_attempts is 9223372036854775808"),
        ({"key": 5}, "key 5 is not a text"),
        ({"key": b"x"}, "key b'x' is not a text"),
        ({"max_attempts": 0, "key": 5}, "from 1 to 2**53; key 5 is not a text"),
        ({"key": HALF}, "key '\\udcff' is not a text that can be stored"),
        (
            {"after": math.nan, "at": 5, "priority": "3", "max_attempts": 2.5, "key": 5},
            "give one of them; after is nan, not a number of seconds of 0 or more; at is 5, not a time; priority '3'",
        ),
    ],
)
@pytest.mark.parametrize("kept", ["memory", "file"])
def test_what_no_store_can_hold_is_refused_before_anything_is_stored(
    new, tmp_path, kept, asked, told
):
    client = new(store=tmp_path / "jobs.db" if kept == "file" else "memory")
    client.jobs.declare(PrintReport)
    with pytest.raises(JobRefused, match="no job was stored") as refused:
        client.jobs.enqueue(REPORT, **asked)
    assert told in str(refused.value)
    assert client.jobs.stats().total_jobs == 0


def test_a_time_without_a_zone_in_a_payload_is_refused(face: Face):
    async def story(client: Any, done: Any) -> None:
        client.jobs.declare(PrintReport)
        naive = attrs.evolve(REPORT, made=datetime(2026, 6, 30))  # noqa: DTZ001 - the mistake under test
        with pytest.raises(JobRefused) as refused:
            await done(client.jobs.enqueue(naive, priority=9))
        assert "2026-06-30T00:00:00 has no time zone" in str(refused.value)
        assert "priority 9" in str(refused.value)
        assert (await done(client.jobs.stats())).total_jobs == 0

    face.tell(story)


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (
            PrintReport,
            r"PrintReport is a class, .* give one that was made of it, PrintReport\(\.\.\.\)",
        ),
        ({"title": "June"}, "a payload is of an attrs class, and dict is none"),
    ],
    ids=["the class", "a dict"],
)
def test_what_is_no_payload_is_refused_with_what_would_be_one(new, payload, told):
    client = new()
    client.jobs.declare(PrintReport)
    with pytest.raises(JobRefused, match=told):
        client.jobs.enqueue(payload)


def test_a_job_can_be_due_later(face: Face):
    async def story(client: Any, done: Any) -> None:
        client.jobs.declare(PrintReport)
        tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
        at = await done(client.jobs.enqueue(REPORT, at=tomorrow, priority=3))
        after = await done(client.jobs.enqueue(REPORT, after=86_400))
        past = await done(client.jobs.enqueue(REPORT, at=tomorrow - timedelta(days=2)))
        assert abs((at.next_retry_at - tomorrow).total_seconds()) < 0.001
        assert abs((after.next_retry_at - tomorrow).total_seconds()) < 60
        assert past.next_retry_at is None
        assert (at.priority, after.priority) == (3, 2)

    face.tell(story)


def test_at_most_one_job_of_a_key_is_under_way(face: Face, tmp_path: Path):
    async def story(client: Any, done: Any) -> None:
        client.jobs.declare(PrintReport)
        client.jobs.declare(Line)
        first = await done(client.jobs.enqueue(REPORT, key="june"))
        assert await done(client.jobs.enqueue(PrintReport("another"), key="june")) == first
        other = await done(client.jobs.enqueue(REPORT, key="july"))
        with pytest.raises(JobRefused, match=f"{first.id}.*is a print_report, not a line"):
            await done(client.jobs.enqueue(Line("a"), key="june"))
        assert [job.id for job in await done(client.jobs.list(key="july"))] == [other.id]
        await done(client.jobs.cancel(first.id))
        again = await done(client.jobs.enqueue(REPORT, key="june"))
        assert again.id != first.id
        assert (await done(client.jobs.stats())).pending_jobs == 2

    face.tell(story)
    face.tell(story, store=tmp_path / "jobs.db")


def test_a_key_that_comes_free_while_it_is_asked_for_is_taken(new):
    class Leaving(MemoryStore):
        """The job that holds the key ends just before anybody can look at it."""

        def holder(self, key: str) -> Any:
            self.cancel(first.id, time.time(), "done meanwhile").result(SOON)
            return super().holder(key)

    client = new(store=Leaving())
    client.jobs.declare(PrintReport)
    first = client.jobs.enqueue(REPORT, key="june")
    second = client.jobs.enqueue(REPORT, key="june")
    assert second.id != first.id
    assert client.jobs.get(second.id).status == "pending"


def test_a_handler_may_come_after_the_job_and_after_the_runner(face: Face):
    async def story(client: Any, done: Any) -> None:
        @client.jobs.handler(Line)
        async def first(line: Line, context: JobContext) -> None:
            pass

        await done(client.jobs.wait((await done(client.jobs.enqueue(Line("a")))).id, timeout=SOON))
        client.jobs.declare(PrintReport)  # the runner works by now, and knows of nobody for these
        job = await done(client.jobs.enqueue(REPORT))

        @client.jobs.handler(PrintReport)
        async def second(report: PrintReport, context: JobContext) -> Outcome:
            return GiveUp(error=f"no paper for {report.title}")

        ended = await done(client.jobs.wait(job.id, timeout=SOON))
        assert ended.error == "no paper for June"

    face.tell(story)


def test_jobs_that_waited_for_the_first_handler_of_a_client_are_begun_with_it(face: Face):
    done_for: list[str] = []

    async def story(client: Any, done: Any) -> None:
        client.jobs.declare(Line)
        job = await done(client.jobs.enqueue(Line("a")))

        @client.jobs.handler(Line)
        async def print_line(line: Line, context: JobContext) -> None:
            done_for.append(line.text)

        assert (await done(client.jobs.wait(job.id, timeout=SOON))).status == "completed"

    face.tell(story)
    assert done_for == ["a"]


def test_a_handler_may_be_registered_with_a_client_that_is_closed(new):
    client = new()
    client.jobs.declare(Line)
    client.jobs.enqueue(Line("a"))
    register = client.jobs.handler(Line)
    client.close()
    register(lambda line, context: None)


@pytest.mark.parametrize("blocks", ["wait", "work"])
def test_a_coroutine_of_a_plain_client_is_told_that_it_would_wait_for_itself(new, blocks):
    client = new()

    @client.jobs.handler(Line)
    async def print_line(line: Line, context: JobContext) -> Outcome:
        raise AssertionError("nobody gets here while the loop is held up")

    @client.jobs.handler(PrintReport, max_attempts=1, time_limit=1)
    async def print_report(report: PrintReport, context: JobContext) -> None:
        if blocks == "work":
            client.jobs.work(timeout=SOON)
        client.jobs.wait(client.jobs.enqueue(Line("a"), after=3600).id, timeout=SOON)

    job = client.jobs.wait(client.jobs.enqueue(REPORT).id, timeout=2 * SOON)
    assert job.status == "failed"
    assert f"RuntimeError: {blocks}() would hold up the loop" in (job.error or "")


def test_an_ordinary_function_may_wait_for_another_job(new):
    client = new()

    @client.jobs.handler(Line)
    async def print_line(line: Line, context: JobContext) -> Outcome:
        return GiveUp(error=line.text)

    @client.jobs.handler(PrintReport)
    def print_report(report: PrintReport, context: PlainJobContext) -> Outcome:
        line = client.jobs.wait(client.jobs.enqueue(Line("a")).id, timeout=SOON)
        return GiveUp(error=f"after {line.error}")

    assert client.jobs.wait(client.jobs.enqueue(REPORT).id, timeout=SOON).error == "after a"


def test_a_declaration_takes_no_handler_away(face: Face):
    done_for: list[str] = []

    async def story(client: Any, done: Any) -> None:
        @client.jobs.handler(Line, max_attempts=2)
        async def print_line(line: Line, context: JobContext) -> None:
            done_for.append(line.text)

        client.jobs.declare(Line, max_attempts=9)  # as a module does that all processes share
        job = await done(client.jobs.enqueue(Line("a")))
        assert job.max_attempts == 2
        assert (await done(client.jobs.wait(job.id, timeout=SOON))).status == "completed"

    face.tell(story)
    assert done_for == ["a"]


def test_a_class_that_is_declared_anew_keeps_its_handler(new):
    def cell(client: Novitai, *, handled: bool) -> Any:
        @attrs.frozen
        class Note:
            text: str

        if handled:
            client.jobs.handler(Note)(lambda note, context: GiveUp(error=note.text))
        else:
            client.jobs.declare(Note)
        return Note("x")

    client = new()
    for handled in (True, False):
        job = client.jobs.enqueue(cell(client, handled=handled))
        assert client.jobs.wait(job.id, timeout=SOON).error == "x"


def test_a_cell_that_is_run_again_takes_the_place_of_the_first(new):
    def cell(client: Novitai, answer: str) -> Any:
        @attrs.frozen
        class Note:
            text: str

        @client.jobs.handler(Note)
        async def handle(note: Note, context: JobContext) -> Outcome:
            return GiveUp(error=answer)

        return Note("x")

    client = new()
    for answer in ("first", "second"):
        job = client.jobs.enqueue(cell(client, answer))
        assert client.jobs.wait(job.id, timeout=SOON).error == answer


# -- what cannot be registered ------------------------------------------------------------------------


def test_options_that_cannot_be_are_all_named(new):
    with pytest.raises(ValueError, match="jobs of PrintReport") as wrong:
        new().jobs.handler(
            PrintReport, type="a b", slots=0, max_attempts=0, time_limit=0, priority=9
        )
    for part in ("'a b'", "slots is 0", "max_attempts is 0", "time_limit is 0", "priority 9"):
        assert part in str(wrong.value)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"slots": 2.5}, "slots is 2.5, not a whole number"),
        ({"slots": 2**63}, "slots is 9223372036854775808"),
        ({"slots": "x"}, "slots is 'x'"),
        ({"max_attempts": 2.5}, "max_attempts is 2.5, not a whole number"),
        ({"max_attempts": None}, "max_attempts is None"),
        ({"time_limit": "x"}, "time_limit is 'x', not a number of seconds above 0"),
        ({"time_limit": math.nan}, "time_limit is nan"),
        ({"priority": 2.5}, "priority 2.5 is not 1 to 4"),
        ({"policy": 5}, "policy is 5, which has no wait_after"),
        ({"type": ""}, "type '' is not 1 to 100 letters"),
        ({"type": 5}, "type 5 is not 1 to 100 letters"),
        ({"bogus": 1, "after": 2}, "after is not an option; bogus is not an option"),
    ],
)
def test_an_option_that_would_be_ignored_or_would_fail_later_is_refused(new, said, told):
    jobs = new().jobs
    for say in (jobs.handler, jobs.declare):
        with pytest.raises(ValueError, match="jobs of PrintReport") as wrong:
            say(PrintReport, **said)
        assert told in str(wrong.value)


def test_every_option_that_there_is_may_be_given(new):
    @new().jobs.handler(
        PrintReport,
        type="x",
        slots=1,
        max_attempts=1,
        policy=AT_ONCE,
        time_limit=math.inf,
        priority=JobPriority.HIGH,
    )
    def work(report: PrintReport, context: PlainJobContext) -> None: ...


def test_what_is_registered_can_be_called(new):
    with pytest.raises(TypeError, match="5 is not a function"):
        new().jobs.handler(PrintReport)(5)

    async def forgets_the_context(report: PrintReport) -> None: ...

    async def wants_more(report: PrintReport, context: JobContext, more: str) -> None: ...

    async def takes_what_comes(*args: object, **more: object) -> None: ...

    for wrong in (forgets_the_context, wants_more):
        with pytest.raises(TypeError, match=f"{wrong.__name__}.* is not a function of payload"):
            new().jobs.handler(PrintReport)(wrong)

    @wraps(forgets_the_context)
    async def gives_less(report: PrintReport, context: JobContext) -> None:
        await forgets_the_context(report)

    class TellsNothing:
        @property
        def __signature__(self) -> object:
            # As from Python 3.14 the annotations of a function that name what only a type checker imports.
            raise NameError("name 'Report' is not defined")

        async def __call__(self, report: PrintReport, context: JobContext) -> None: ...

    for right in (takes_what_comes, partial(wants_more, more="x"), gives_less, TellsNothing()):
        assert new().jobs.handler(PrintReport)(right) is right


def test_the_librarys_own_types_are_its_own(new):
    with pytest.raises(ValueError, match="'create_instance' belongs to this library"):
        new().jobs.handler(PrintReport, type="create_instance")


def test_one_type_has_one_class_and_one_class_one_type(new):
    jobs = new().jobs
    jobs.declare(PrintReport)
    with pytest.raises(ValueError, match=r"is that of .*test_own_jobs\.PrintReport already"):
        jobs.declare(Line, type="print_report")
    with pytest.raises(ValueError, match="one class has one type"):
        jobs.declare(PrintReport, type="other")


@attrs.frozen
class Login:
    user: str
    passwords: tuple[Secret, ...]


@attrs.frozen
class Wrapped:
    login: Login | None = None


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (int, "attrs class"),
        (REPORT, "attrs class"),
        (Login, r"Login\.passwords is a Secret"),
        (Wrapped, r"Wrapped\.login\.passwords is a Secret"),
    ],
    ids=["not attrs", "an instance", "a secret", "a secret inside"],
)
def test_a_payload_that_cannot_be_stored_is_refused_where_it_is_written(new, payload, told):
    with pytest.raises(TypeError, match=told):
        new().jobs.handler(payload)


def test_an_awaiting_client_takes_coroutine_functions_only(new_async):
    async def main() -> None:
        async with new_async() as client:
            with pytest.raises(TypeError, match="async def"):
                client.jobs.handler(PrintReport)(lambda report, context: None)

    anyio.run(main)


def test_handlers_can_be_registered_before_the_block_and_open_nothing(new_async, threads, tmp_path):
    path = tmp_path / "jobs.db"
    client: AsyncNovitai = new_async(store=path)
    seen: list[str] = []

    @client.jobs.handler(PrintReport)
    async def print_report(report: PrintReport, context: JobContext) -> None:
        seen.append(threading.current_thread().name)

    assert threads() == []
    assert not path.exists()

    async def main() -> None:
        async with client:
            job = await client.jobs.enqueue(REPORT)
            await client.jobs.wait(job.id, timeout=SOON)

    anyio.run(main)
    assert seen == ["MainThread"]


# -- several processes --------------------------------------------------------------------------------


WORKER = """
import sys, attrs
from novitai_sdk import Novitai

@attrs.frozen
class PrintReport:
    title: str

with Novitai(api_key="sk-example", base_url="https://localhost:9", store=sys.argv[1]) as client:
    @client.jobs.handler(PrintReport)
    def print_report(report, context):
        print("printed", report.title, flush=True)

    client.jobs.work(timeout=float(sys.argv[2]))
"""


def test_a_job_stays_for_a_process_that_has_its_handler(new, tmp_path):
    path = tmp_path / "jobs.db"
    client = new(store=path)
    client.jobs.declare(PrintReport)

    @client.jobs.handler(Line)
    def line(line: Line, context: PlainJobContext) -> None:
        """Its runner works, and leaves alone what it has no handler for."""

    job = client.jobs.enqueue(REPORT)
    assert client.jobs.wait(client.jobs.enqueue(Line("a")).id, timeout=SOON).status == "completed"
    assert client.jobs.get(job.id).status is JobStatus.PENDING
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, path, "30"], stdout=subprocess.PIPE, text=True
    ) as worker:
        assert client.jobs.wait(job.id, timeout=30).status is JobStatus.COMPLETED
        assert worker.stdout is not None
        assert worker.stdout.readline() == "printed June\n"
        worker.kill()


def test_work_ends_when_its_time_is_over(face: Face):
    async def story(client: Any, done: Any) -> None:
        began = time.monotonic()
        await done(client.jobs.work(timeout=0.01))
        assert 0.01 <= time.monotonic() - began < 5

    face.tell(story)


@pytest.mark.parametrize("timeout", [math.nan, "10"])
def test_work_for_what_is_no_number_of_seconds_is_refused(new, timeout):
    with pytest.raises(ValueError, match=r"timeout is .* a number of seconds is expected, or None"):
        new().jobs.work(timeout)


# -- when the runner is dead --------------------------------------------------------------------------


class DeafStore(MemoryStore):
    """A store that cannot give out jobs."""

    def claim(self, *_: Any) -> Any:
        raise LookupError("the disk is gone")


def test_a_dead_runner_is_told_to_whoever_waits_works_or_enqueues(face: Face):
    store = DeafStore()
    plain = face.name.startswith("plain")

    async def breath() -> None:
        """Let the runner go on, wherever it lives."""
        if plain:
            time.sleep(0.001)  # noqa: ASYNC251 - driven without a loop
        else:
            await anyio.sleep(0.001)

    async def story(client: Any, done: Any) -> None:
        @client.jobs.handler(PrintReport)
        async def print_report(report: PrintReport, context: JobContext) -> None:
            raise AssertionError

        job = await done(client.jobs.enqueue(REPORT))
        while (await done(client.jobs.health())).running:
            await breath()
        with pytest.raises(RunnerFailed, match="the disk is gone"):
            await done(client.jobs.wait(job.id, timeout=SOON))
        for ask in (
            lambda: client.jobs.enqueue(REPORT),
            lambda: client.jobs.work(timeout=SOON),
            lambda: client.webhooks.send({}, "https://example.com/hook"),
        ):
            with pytest.raises(RunnerFailed, match="the disk is gone"):
                await done(ask())
        assert (await done(client.jobs.stats())).total_jobs == 1
        assert not (await done(client.jobs.health())).running

    face.tell(story, store=store)


# -- watching -----------------------------------------------------------------------------------------


def test_a_hook_is_told_of_every_attempt(face: Face):
    told: list[JobEvent] = []

    async def story(client: Any, done: Any) -> None:
        @client.jobs.handler(PrintReport, max_attempts=2, policy=AT_ONCE)
        async def broken(report: PrintReport, context: JobContext) -> None:
            raise OSError("no paper")

        job = await done(client.jobs.enqueue(REPORT))
        await done(client.jobs.wait(job.id, timeout=SOON))
        if face.name.startswith("plain"):
            block_until(lambda: len(told) == 4)
        else:
            await until(lambda: len(told) == 4)
        assert [(event.what, event.job.id, event.job.attempts) for event in told] == [
            ("claimed", job.id, 1),
            ("retrying", job.id, 1),
            ("claimed", job.id, 2),
            ("failed", job.id, 2),
        ]
        assert all(0 <= event.elapsed < SOON for event in told)
        assert told[-1].job.error == "OSError: no paper"

    face.tell(story, on_job=told.append)


@pytest.mark.parametrize("mistake", [LookupError("a hook's own"), SystemExit("a hook's own")])
def test_a_hook_that_fails_harms_no_job_and_is_logged_once(face, caplog, mistake):
    told: list[str] = []

    def failing(event: JobEvent) -> None:
        raise mistake

    async def story(client: Any, done: Any) -> None:
        @client.jobs.handler(Line)
        async def line(line: Line, context: JobContext) -> None:
            pass

        for _ in range(2):
            job = await done(client.jobs.enqueue(Line("a")))
            assert (await done(client.jobs.wait(job.id, timeout=SOON))).status == "completed"

    caplog.set_level(logging.WARNING, "novitai_sdk")
    face.tell(story, on_job=[failing, lambda event: told.append(event.what)])
    assert told == ["claimed", "completed"] * 2
    assert [record.message for record in caplog.records if "hook failed" in record.message] == [
        caplog.records[0].message
    ]


def test_the_log_tells_the_same_with_facts(face, caplog):
    async def story(client: Any, done: Any) -> None:
        @client.jobs.handler(Line, max_attempts=1)
        async def line(line: Line, context: JobContext) -> None:
            raise OSError("no paper")

        await done(client.jobs.wait((await done(client.jobs.enqueue(Line("a")))).id, timeout=SOON))

    caplog.set_level(logging.DEBUG, "novitai_sdk")
    face.tell(story)
    events = [record for record in caplog.records if hasattr(record, "event")]
    assert [record.event for record in events] == ["claimed", "failed"]
    assert {(record.job_type, record.attempt) for record in events} == {("line", 1)}
    (failed,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert (failed.job_id, failed.attempt) == (events[0].job_id, 1)
    assert 0 <= failed.elapsed < SOON
