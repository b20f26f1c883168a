"""One route called with patience: what is sent again, what is not, and what comes of every reply."""

import json
import logging
import pickle
import traceback
from decimal import Decimal
from typing import Any

import anyio
import attrs
import pytest
from desks import (
    CREATE,
    EXACT,
    GOOD,
    KEY,
    LATE,
    LOST,
    READ,
    STOP,
    UNSENT,
    Asked,
    Colour,
    Desk,
    Part,
    Scripted,
    Thing,
    page,
    refusal,
)

from novitai_sdk._calling import Async, Sync, drive
from novitai_sdk._retry import Attempt, RetryPolicy, exactly
from novitai_sdk._session import Patience, Session
from novitai_sdk._transport import Reply, Request
from novitai_sdk._waiting import AsyncWaiter
from novitai_sdk.cloud import InstanceList, InstanceQuery
from novitai_sdk.cloud._route import Route
from novitai_sdk.cloud._routes import LIST_INSTANCES
from novitai_sdk.errors import (
    ApiError,
    CallTimedOut,
    ClientClosed,
    InsufficientBalance,
    NoCapacity,
    RateLimited,
    ServerFailed,
    TransportFailed,
    UnexpectedReply,
)
from novitai_sdk.models import Secret
from novitai_sdk.testing import ScriptedTransport

# -- what is sent again ------------------------------------------------------------------------------

# What befalls the first try; whether a read, a create and a stop are then tried again.
AGAIN: dict[str, tuple[Scripted, bool, bool, bool]] = {
    "nothing was sent": (UNSENT, True, True, True),
    "429": (refusal(429, "RATE_LIMIT_EXCEEDED"), True, True, True),
    "the answer was lost": (LOST, True, False, True),
    "no answer in time": (LATE, True, False, True),
    "500": (refusal(500), True, False, True),
    "502, a page": (page(502), True, False, True),
    "503": (refusal(503), True, False, True),
    "504": (refusal(504), True, False, True),
    "501": (refusal(501), True, False, True),
    "524, a page": (page(524), True, False, True),
    "400": (refusal(400), False, False, False),
    "400 without stock": (refusal(400, "INSUFFICIENT_RESOURCE"), False, False, False),
    "400 of a kind unknown to the cloud": (refusal(400, "UNKNOWN"), False, False, False),
    "401": (refusal(401), False, False, False),
    "404": (refusal(404), False, False, False),
    "408": (refusal(408), False, False, False),
    "409": (refusal(409), False, False, False),
    "301": (Reply(status=301, headers={"location": "https://else.test/"}), False, False, False),
    "200 that cannot be read": (Reply(status=200, body=b"<html>"), False, False, False),
}


@pytest.mark.parametrize("case", AGAIN)
@pytest.mark.parametrize(("route", "column"), [(READ, 1), (CREATE, 2), (STOP, 3)])
def test_only_what_cannot_happen_twice_is_sent_again(
    case: str, route: Route[Asked, Any], column: int
) -> None:
    desk = Desk(AGAIN[case][0], GOOD)
    if AGAIN[case][column]:
        desk.call(route)
        assert desk.sent == 2
    else:
        error = desk.fails(route)
        assert desk.sent == 1
        assert error.attempts == 1
    assert len({request.content for request in desk.transport.requests}) == 1


SAFE_CREATES = {
    "nothing was sent": True,
    "429": True,
    "400": True,
    "400 without stock": True,
    "401": True,
    "404": True,
    "409": True,
    "the answer was lost": False,
    "no answer in time": False,
    "500": False,
    "400 of a kind unknown to the cloud": False,
    "502, a page": False,
    "408": False,
    "301": False,
    "200 that cannot be read": False,
}


@pytest.mark.parametrize("case", SAFE_CREATES)
def test_an_error_tells_whether_a_create_may_be_sent_again(case: str) -> None:
    desk = Desk(AGAIN[case][0], retry=RetryPolicy(attempts=1))
    assert desk.fails(CREATE).resend_safe is SAFE_CREATES[case]


@pytest.mark.parametrize("case", AGAIN)
def test_what_can_be_repeated_is_always_safe_to_repeat(case: str) -> None:
    desk = Desk(AGAIN[case][0], retry=RetryPolicy(attempts=1))
    assert desk.fails(READ).resend_safe is True


def test_waits_double_up_to_a_limit_and_tries_end() -> None:
    desk = Desk(*[LOST] * 6, retry=RetryPolicy(attempts=6, longest_wait=3.0, spread=exactly))
    error = desk.fails()
    assert desk.waiter.slept == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert (error.operation, error.attempts, error.elapsed) == ("things.get", 6, 9.5)
    assert str(error) == "things.get: the connection broke (after 6 attempts, 9.5 s)"


def test_the_error_raised_is_the_last_one() -> None:
    desk = Desk(LOST, refusal(503), refusal(400, "CONFLICT", "busy"))
    error = desk.fails()
    assert (error.reason, error.attempts) == ("CONFLICT", 3)


# -- Retry-After -------------------------------------------------------------------------------------


def test_seconds_to_wait_are_waited() -> None:
    desk = Desk(refusal(429, retry_after="7"), refusal(503, retry_after="3"), GOOD)
    desk.call()
    assert desk.waiter.slept == [7.0, 3.0]


def test_a_date_to_wait_for_is_waited_for() -> None:
    # The clock in the hand shows 2026-01-01 00:00:00 UTC.
    desk = Desk(refusal(429, retry_after="Thu, 01 Jan 2026 00:00:09 GMT"), GOOD)
    desk.call()
    assert desk.waiter.slept == [9.0]


def test_a_wait_beyond_the_cap_is_told_and_not_waited_for() -> None:
    desk = Desk(refusal(429, retry_after="61"), GOOD, timeout=600.0)
    error = desk.fails()
    assert isinstance(error, RateLimited)
    assert (error.retry_after, desk.sent, desk.waiter.slept) == (61.0, 1, [])


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    desk = Desk(refusal(429, retry_after="20"), GOOD, timeout=20.0)
    assert desk.fails().retry_after == 20.0
    assert desk.waiter.slept == []


# -- the deadline ------------------------------------------------------------------------------------


def test_tries_and_waits_draw_on_one_deadline() -> None:
    desk = Desk(*[LOST] * 9, took=4.0, timeout=10.0, attempt_timeout=6.0)
    error = desk.fails()
    # 4 s, a wait of 0.5 s, 4 s; the next wait of 1 s leaves 0.5 s for the last try.
    assert [request.timeout for request in desk.transport.requests] == [6.0, 5.5, 0.5]
    assert error.attempts == 3


def test_a_call_may_have_a_deadline_of_its_own() -> None:
    desk = Desk(LOST, GOOD)
    assert desk.fails(timeout=0.4).attempts == 1
    assert desk.transport.requests[0].timeout == 0.4


def test_a_deadline_that_has_passed_sends_nothing_and_says_so() -> None:
    desk = Desk(GOOD)
    error = desk.fails(CREATE, timeout=0.0)
    assert type(error) is CallTimedOut
    assert (desk.sent, error.attempts, error.resend_safe) == (0, 0, True)
    assert str(error) == "things.create: the deadline had passed before anything was sent"


MANY_ODD = Reply(
    status=200,
    body=json.dumps(
        {"instances": [{"id": f"i-{n}", "name": "n", "status": "running", "rootfsSize": "60GB"} for n in range(2000)]}
    ).encode(),
)  # fmt: skip


def list_them(desk: Desk) -> InstanceList:
    return drive(desk.session.call(LIST_INSTANCES, InstanceQuery()))


def each_look_takes(desk: Desk, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have time go by on the clock in the hand as it is looked at."""

    def monotonic() -> float:
        desk.waiter.clock.advance(seconds)
        return desk.waiter.clock.monotonic()

    monkeypatch.setattr(desk.waiter, "monotonic", monotonic)


def test_a_long_reply_full_of_what_does_not_fit_is_read_until_the_deadline_and_not_beyond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(MANY_ODD, GOOD, timeout=5.0)
    each_look_takes(desk, 0.01, monkeypatch)
    started = desk.waiter.clock.monotonic()
    with pytest.raises(CallTimedOut, match="came, and there was no time to read it") as caught:
        list_them(desk)
    assert desk.waiter.clock.monotonic() - started < 5.1
    assert (desk.sent, caught.value.attempts) == (1, 1)
    # Nothing of it stays: what comes next is read to its end.
    other = Desk(MANY_ODD, timeout=5.0)
    assert len(list_them(other).instances) == 2000


def test_what_does_not_fit_takes_no_place_from_what_is_read_in_time() -> None:
    found = list_them(Desk(MANY_ODD))
    assert [one.id for one in found.instances] == [f"i-{n}" for n in range(2000)]
    assert all(one.extra == {"rootfsSize": "60GB"} for one in found.instances)


def test_a_sleep_that_takes_too_long_leaves_the_error_that_was_known() -> None:
    desk = Desk(refusal(429, "RATE_LIMIT_EXCEEDED"), GOOD, timeout=1.0)
    slow = desk.waiter.sleep

    async def oversleep(seconds: float) -> None:
        await slow(seconds + 5.0)

    desk.waiter.sleep = oversleep  # type: ignore[method-assign]  # a busy machine
    error = desk.fails(CREATE)
    assert isinstance(error, RateLimited)
    assert (desk.sent, error.attempts, error.elapsed) == (1, 1, 5.5)


# -- replies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_what_was_promised_is_returned(status: int) -> None:
    body = b' {"id": 7, "colour": "mauve", "parts": [{"size": "3"}], "new": [1]} \n'
    found = Desk(Reply(status=status, body=body)).call()
    assert (found.id, found.colour, found.parts) == ("7", "mauve", (Part(size=3),))
    assert found.extra == {"new": [1]}


@pytest.mark.parametrize("body", [b"", b"  ", b"{}", b'{"instanceId": "1"}', b"[]", b"OK", b'"x"'])
def test_where_nothing_is_promised_anything_but_a_page_or_a_refusal_will_do(body: bytes) -> None:
    assert Desk(Reply(status=200, body=body)).call(STOP) is None
    assert Desk(Reply(status=200, body=b'{"message": "success", "code": 0}')).call(STOP) is None


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        (b"", ["required field missing @ $.id"]),
        (b"{}", ["required field missing @ $.id"]),
        (b'{"id": null}', None),
        (b'{"id": [1], "parts": [{"size": "x"}, {}]}', None),
        (b"<html>login</html>", ["not JSON: <html>login</html>"]),
        (b'{"id": "t-1"', ['not JSON: {"id": "t-1"']),
        (b'{"id": "t-1", "x": NaN}', ['not JSON: {"id": "t-1", "x": NaN}']),
        (b'{"id": "t-1", "x": -Infinity}', None),
        (b'{"id": "\xff\xfe"}', None),
        (b"[]", None),
        (b"null", None),
        (b'"text"', None),
        (b'{"id": ' + b"9" * 5000 + b"}", None),
    ],
)
def test_a_success_that_is_not_what_was_promised_is_an_unexpected_reply(
    body: bytes, problems: list[str] | None
) -> None:
    error = Desk(Reply(status=200, body=body)).fails()
    assert type(error) is UnexpectedReply
    assert error.status == 200
    assert error.problems
    if problems is not None:
        assert list(error.problems) == problems
    assert str(error).startswith("things.get: GET /thing answered 200 with something else")
    assert all(f"\n  {line}" in str(error) for line in error.problems)
    assert len(str(error)) < 2000


def test_every_problem_has_a_line_with_its_path() -> None:
    body = b'{"id": [1], "colour": 5, "parts": [{"size": "x"}, {"size": 1}, {}]}'
    error = Desk(Reply(status=200, body=body)).fails()
    paths = [line.rpartition(" @ ")[2] for line in error.problems]
    assert paths == ["$.id", "$.colour", "$.parts[0].size", "$.parts[2].size"]


@attrs.frozen(kw_only=True)
class Book:
    pages: tuple[Thing, ...]


@pytest.mark.parametrize(("pages", "parts"), [(100_000, 0), (99, 99)])
def test_of_what_is_wrong_in_thousands_of_places_the_first_few_are_told(
    pages: int, parts: int
) -> None:
    """A few KB can unpack to millions of them, and a line for each would take all memory."""
    one = b'{"id": "p", "parts": [%b]}' % b",".join([b"7"] * parts) if parts else b"7"
    body = b'{"pages": [%b]}' % b",".join([one] * pages)
    error = Desk(Reply(status=200, body=body)).fails(Route("b.get", "GET", "/b", Asked, Book))
    assert 20 <= len(error.problems) <= 51
    assert error.problems[0].startswith("expected an object, got int @ $.pages[0]")
    assert "more" in error.problems[-1]
    assert len(str(error)) < 5000


@pytest.mark.parametrize("depth", [101, 3_000, 100_000])
@pytest.mark.parametrize("shape", [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
def test_what_is_nested_too_deep_is_refused(depth: int, shape: tuple[bytes, bytes]) -> None:
    body = b'{"id": "t-1", "deep": ' + shape[0] * depth + b"1" + shape[1] * depth + b"}"
    error = Desk(Reply(status=200, body=body)).fails()
    assert error.problems == ("nested deeper than 100 levels",)


def test_brackets_in_a_text_are_no_depth() -> None:
    error = Desk(Reply(status=200, body=b'"' + b"[{" * 200 + b'"')).fails()
    assert error.problems == ("expected an object, got str",)


def test_what_is_wide_or_as_deep_as_allowed_is_not() -> None:
    deep = b"[" * 99 + b"]" * 99
    wide = b",".join([b'{"size": 1}'] * 500)
    found = Desk(
        Reply(status=200, body=b'{"id": "t-1", "deep": %b, "parts": [%b]}' % (deep, wide))
    ).call()
    assert len(found.parts) == 500


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"code": 400, "reason": "INSUFFICIENT_RESOURCE", "message": "none left"}', NoCapacity),
        (b'{"error": "BALANCE_NOT_ENOUGH"}', InsufficientBalance),
        (b'{"message": "something odd"}', ApiError),
    ],
)
@pytest.mark.parametrize("route", [READ, CREATE])
def test_a_success_that_is_a_refusal_is_raised_as_one(
    body: bytes, kind: type[ApiError], route: Route[Asked, Any]
) -> None:
    error = Desk(Reply(status=200, body=body)).fails(route)
    assert type(error) is kind
    # A 200 is no proof that nothing was made.
    assert error.resend_safe is (route is READ)


def test_a_message_beside_what_was_promised_is_no_refusal() -> None:
    found = Desk(Reply(status=200, body=b'{"id": "t-1", "message": "welcome"}')).call()
    assert found.id == "t-1"


@pytest.mark.parametrize(
    "body",
    [
        b'{"reason": "CONFLICT", "message": "busy"}',
        b'{"error": "busy"}',
        b'{"code": 400, "message": "busy"}',
    ],
)
def test_a_refusal_where_nothing_is_promised_is_one_too(body: bytes) -> None:
    assert isinstance(Desk(Reply(status=200, body=body)).fails(STOP), ApiError)


def test_a_page_where_nothing_is_promised_is_no_success() -> None:
    error = Desk(Reply(status=200, body=b"<!DOCTYPE html><p>Please log in</p>")).fails(STOP)
    assert type(error) is UnexpectedReply


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("https://else.test/path?token=secret", "redirects to https://else.test,"),
        ("/v2/thing", "redirects to another path,"),
        ("", "redirects to another path,"),
        ("https://[broken", "redirects to another path,"),
    ],
)
@pytest.mark.parametrize("status", [300, 301, 302, 304, 307, 308])
def test_a_redirect_is_told_and_not_followed(status: int, location: str, said: str) -> None:
    desk = Desk(Reply(status=status, headers={"location": location}))
    error = desk.fails()
    assert type(error) is UnexpectedReply
    assert said in str(error)
    assert "secret" not in str(error)
    assert (error.status, desk.sent) == (status, 1)


def test_a_place_to_go_to_is_shown_without_what_a_terminal_obeys() -> None:
    headers = {"location": "http://else.test\x9b2J\x85fake line/"}
    error = Desk(Reply(status=302, headers=headers)).fails()
    assert "http://else.test 2j fake line" in str(error)


@pytest.mark.parametrize("status", [203, 206, 226])
def test_an_odd_success_is_not_taken_for_one(status: int) -> None:
    error = Desk(Reply(status=status, body=GOOD.body)).fails()
    assert type(error) is UnexpectedReply
    assert f"status {status} is not part of the contract" in str(error)


def test_a_closed_client_is_no_matter_of_patience() -> None:
    desk = Desk(ClientClosed(), GOOD)
    with pytest.raises(ClientClosed):
        desk.call()
    assert desk.sent == 1


# -- requests ----------------------------------------------------------------------------------------


def asked(route: Route[Asked, Any], body: Asked | None) -> Request:
    desk = Desk(GOOD)
    drive(desk.session.call(route, body))
    return desk.transport.requests[0]


def test_a_read_carries_its_body_in_the_query() -> None:
    request = asked(
        READ,
        Asked(name="a b&c=ü/?", page_size=5, deep=True, names=("x", "y"), price=Decimal("1.50")),
    )
    assert request.url == (
        "https://cloud.test/gpu-instance/openapi/v1/thing"
        "?name=a%20b%26c%3D%C3%BC%2F%3F&pageSize=5&deep=true&names=x%2Cy&price=1.50"
    )
    assert (request.method, request.content) == ("GET", b"")
    assert asked(READ, Asked(deep=False)).url.endswith("?deep=false")


def test_a_read_without_anything_to_say_has_no_query() -> None:
    for body in (None, Asked()):
        assert asked(READ, body).url == "https://cloud.test/gpu-instance/openapi/v1/thing"


def test_a_write_carries_its_body_as_json_without_what_is_absent() -> None:
    request = asked(CREATE, Asked(name="ü", names=("x",), colour=Colour("mauve")))
    assert json.loads(request.content) == {"name": "ü", "names": ["x"], "colour": "mauve"}
    assert asked(CREATE, None).content == b"{}"


def test_every_request_says_who_asks_and_in_what_language() -> None:
    headers = asked(READ, None).headers
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Content-Type"] == headers["Accept"] == "application/json"
    assert headers["User-Agent"] == "tests/1"


# -- what is never shown -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        (refusal(401, "INVALID_API_KEY", f"the key {KEY} is wrong"),),
        (Reply(status=403, body=f"<p>{KEY}</p>".encode()),),
        (refusal(429, message=KEY), refusal(429, message=KEY), LOST),
        (Reply(status=302, headers={"location": f"https://x.test/?key={KEY}"}),),
        (LATE,),
    ],
)
def test_the_key_is_in_no_error_no_log_and_no_local_of_a_traceback(
    script: tuple[Scripted, ...], caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(*script, retry=RetryPolicy(attempts=len(script), spread=exactly))
    with caplog.at_level(logging.DEBUG):
        error = desk.fails()
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    shown = [*report.format(), repr(error), str(vars(error)), caplog.text, repr(desk.session)]
    shown += [repr(request) for request in desk.transport.requests]
    shown += [repr(error.history), *(str(vars(record)) for record in caplog.records)]
    assert KEY not in "\n".join(shown)


def test_every_try_is_logged_for_those_who_debug_with_its_facts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    good = attrs.evolve(GOOD, headers={"x-request-id": "r-1"})
    with caplog.at_level(logging.DEBUG, logger="novitai_sdk"):
        Desk(LOST, good, took=0.25).call()
    assert [(one.levelno, one.getMessage()) for one in caplog.records] == [
        (
            logging.DEBUG,
            "things.get: attempt 1: no reply in 0.250 s: the connection broke; trying again in 0.50 s",
        ),
        (logging.DEBUG, "things.get: attempt 2: 200 in 0.250 s"),
    ]
    assert [facts(one) for one in caplog.records] == [
        ("things.get", 1, None, 0.25, None),
        ("things.get", 2, 200, 0.25, "r-1"),
    ]


def facts(record: logging.LogRecord) -> tuple[object, ...]:
    names = ("operation", "attempt", "status", "elapsed", "request_id")
    return tuple(getattr(record, name) for name in names)


def test_a_call_that_goes_well_or_is_refused_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="novitai_sdk"):
        Desk(GOOD).call()
        Desk(LOST, GOOD).call()
        Desk(refusal(404)).fails()
    assert caplog.records == []


def test_who_gives_up_after_several_tries_warns(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="novitai_sdk"):
        Desk(*[refusal(503, message="overloaded", x_request_id="r-9")] * 4).fails()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "things.get: given up after 4 attempts in 3.5 s: overloaded"
    assert facts(record) == ("things.get", 4, 503, 3.5, "r-9")


# -- what was tried ----------------------------------------------------------------------------------


def test_an_error_tells_what_was_tried_what_came_of_it_and_how_long_was_waited() -> None:
    error = Desk(
        LOST, refusal(503, message="busy", retry_after="7"), refusal(400), took=2.0
    ).fails()
    first, second, third = error.history
    assert (first.number, first.operation, first.method, first.url) == (
        1, "things.get", "GET", "https://cloud.test/gpu-instance/openapi/v1/thing",
    )  # fmt: skip
    assert (first.status, first.fault, first.message) == (
        None, "TransportFailed", "the connection broke",
    )  # fmt: skip
    assert (first.started, first.seconds, first.wait) == (1_767_225_600.0, 2.0, 0.5)
    assert (second.status, second.fault, second.message) == (503, "ServerFailed", "busy")
    assert (second.started, second.retry_after, second.wait) == (1_767_225_602.5, 7.0, 7.0)
    assert (third.number, third.status, third.fault, third.wait) == (3, 400, "RequestRefused", None)
    assert error.attempts == len(error.history)


def test_a_history_survives_a_pickle() -> None:
    error = Desk(LOST, refusal(400)).fails()
    again = pickle.loads(pickle.dumps(error))
    assert again.history == error.history


def test_a_wait_that_the_deadline_forbids_is_not_told_as_one() -> None:
    error = Desk(refusal(429, retry_after="20"), timeout=5.0).fails()
    assert [one.wait for one in error.history] == [None]


def test_hooks_are_told_of_every_try_in_order() -> None:
    told: list[Attempt] = []
    also: list[int] = []
    desk = Desk(LOST, GOOD, on_attempt=(told.append, lambda one: also.append(one.number)))
    desk.call()
    assert [(one.number, one.status, one.fault, one.wait) for one in told] == [
        (1, None, "TransportFailed", 0.5),
        (2, 200, "", None),
    ]
    assert also == [1, 2]
    assert desk.waiter.slept == [0.5]


def test_a_hook_is_told_before_the_wait_and_may_end_the_program() -> None:
    def leave(_: Attempt) -> None:
        raise KeyboardInterrupt

    desk = Desk(LOST, GOOD, on_attempt=(leave,))
    with pytest.raises(KeyboardInterrupt):
        desk.call()
    assert (desk.waiter.slept, desk.sent) == ([], 1)


def test_a_hook_that_fails_is_logged_and_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Attempt] = []

    def broken(_: Attempt) -> None:
        raise RuntimeError("my own mistake")

    assert Desk(LOST, GOOD, on_attempt=(broken, told.append)).call().id == "t-1"
    assert len(told) == 2
    failures = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert len(failures) == 2
    assert "my own mistake" in caplog.text


# -- answers as they came ----------------------------------------------------------------------------


def raw(desk: Desk, route: Route[Asked, Any] = READ) -> Any:
    return drive(desk.session.raw(route, Asked(name="n")))


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=200, headers={"x": "1"}, body=b'{"id": [], "odd": tr'),
        Reply(status=302, headers={"location": "https://else.test/"}),
        refusal(404),
        page(400),
        Reply(status=226, body=b""),
    ],
)
def test_an_answer_as_it_came_is_read_by_nobody(reply: Reply) -> None:
    found = raw(Desk(reply))
    assert (found.status, found.headers, found.body) == (reply.status, reply.headers, reply.body)
    assert [(one.number, one.status) for one in found.attempts] == [(1, reply.status)]


def test_it_is_tried_again_like_any_other_and_tells_every_try() -> None:
    desk = Desk(LOST, refusal(503), GOOD)
    found = raw(desk)
    assert found.json() == {"id": "t-1"}
    assert [(one.status, one.wait) for one in found.attempts] == [
        (None, 0.5),
        (503, 1.0),
        (200, None),
    ]
    assert raw(Desk(refusal(500)), CREATE).status == 500


def test_a_refusal_that_stays_is_the_answer_and_a_lost_one_is_an_error() -> None:
    found = raw(Desk(*[refusal(503)] * 4))
    assert (found.status, len(found.attempts)) == (503, 4)
    with pytest.raises(TransportFailed) as caught:
        raw(Desk(refusal(503), *[LOST] * 3))
    assert [one.status for one in caught.value.history] == [503, None, None, None]


def test_the_key_is_masked_in_a_refusal_that_repeats_it() -> None:
    found = raw(Desk(refusal(401, message=f"no such key: {KEY}")))
    assert KEY.encode() not in found.body


# -- what every error tells ----------------------------------------------------------------------------


def test_every_error_tells_status_request_and_wait_where_a_reply_came() -> None:
    headers = {"x-request-id": "r-9", "retry-after": "7"}
    odd = Desk(Reply(status=200, headers=headers, body=b"<html>")).fails()
    assert (odd.status, odd.request_id, odd.retry_after) == (200, "r-9", 7.0)
    assert (odd.reason, odd.metadata) == (None, {})
    lost = Desk(*[TransportFailed("the connection broke")] * 4).fails()
    assert (lost.status, lost.request_id, lost.retry_after) == (None, None, None)
    assert (lost.reason, lost.metadata) == (None, {})


@pytest.mark.parametrize("route", [READ, STOP])
def test_a_reply_that_would_be_the_same_again_is_not_fetched_again(
    route: Route[Asked, Any],
) -> None:
    desk = Desk(TransportFailed("the reply is larger than 32 MB", same_again=True), GOOD)
    error = desk.fails(route)
    assert (desk.sent, error.retryable) == (1, False)


# -- siblings, meters, the other face ----------------------------------------------------------------


def test_a_sibling_has_its_own_patience_on_the_same_connections() -> None:
    desk = Desk(LOST, GOOD)
    sibling = desk.session.patient(Patience(retry=RetryPolicy(attempts=1)))
    assert sibling.mode is Sync
    assert sibling.patience.retry.attempts == 1
    assert desk.session.patience.retry is EXACT
    with pytest.raises(TransportFailed):
        drive(sibling.call(READ, Asked()))
    assert desk.call().id == "t-1"


def test_every_try_is_counted() -> None:
    desk = Desk(LOST, refusal(500), GOOD, took=2.0)
    desk.call()
    reading = desk.gates.meter.read(at=desk.waiter.monotonic())
    assert reading.per_minute == 3.0
    assert reading.average == 2.0
    assert reading.failed == pytest.approx(200 / 3)


@pytest.mark.anyio
async def test_the_awaiting_face_is_the_same() -> None:
    transport = ScriptedTransport(Async, [refusal(503), GOOD])
    session = Session(
        transport,
        AsyncWaiter(),
        base_url="https://cloud.test",
        api_key=Secret(KEY),
        user_agent="tests/1",
        patience=Patience(retry=RetryPolicy(first_wait=0.001)),
    )
    assert session.mode is Async
    assert (await session.call(READ, Asked())).id == "t-1"
    assert len(transport.requests) == 2


@pytest.mark.anyio
async def test_a_cancelled_call_is_not_tried_again() -> None:
    class Silent(ScriptedTransport[Async]):
        async def send(self, request: Request) -> Reply:
            self.requests.append(request)
            await anyio.sleep_forever()
            raise AssertionError

    transport = Silent(Async, [])
    session = Session(
        transport,
        AsyncWaiter(),
        base_url="https://cloud.test",
        api_key=Secret(KEY),
        user_agent="tests/1",
        patience=Patience(),
    )
    with anyio.move_on_after(0.005) as scope:
        await session.call(READ, Asked())
    assert scope.cancelled_caught
    assert len(transport.requests) == 1


def test_a_server_fault_says_that_it_may_have_happened() -> None:
    assert isinstance(Desk(refusal(500)).fails(CREATE), ServerFailed)
