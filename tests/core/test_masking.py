"""Secrets that a reply repeats: nobody is shown them, and they change nothing of what it means."""

import json
import logging
import traceback
from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import quote

import anyio
import attrs
import pytest
from desks import GOOD, KEY, READ, Asked, Desk, Thing, refusal

from novitai_sdk import AsyncNovitai, Novitai, RetryPolicy
from novitai_sdk._calling import drive
from novitai_sdk._transport import Reply
from novitai_sdk.cloud._route import Resend, Route
from novitai_sdk.errors import (
    ApiError,
    CallError,
    NoCapacity,
    RequestRefused,
    TransportFailed,
    ValidationError,
)
from novitai_sdk.models import Secret
from novitai_sdk.models._base import MASK

PASSWORD = "pass&word/<b>secret"
LONG = "a-key-that-is-" + "long-" * 40
Says = Callable[[str], Reply]


@attrs.frozen(kw_only=True)
class Keeps:
    value: Secret


KEEP = Route("things.keep", "POST", "/keep", Keeps, Thing, Resend.NEVER)


def kept(says: Reply, secret: str) -> Any:
    """Send *secret*; the error that comes of it."""
    with pytest.raises(CallError) as caught:
        drive(Desk(says).session.call(KEEP, Keeps(value=Secret(secret))))
    return caught.value


def says_error(text: str) -> Reply:
    return Reply(status=200, body=json.dumps({"error": f"bad key Bearer {text}"}).encode())


def says_page(text: str) -> Reply:
    return Reply(status=200, body=f"<p>{text}".encode())


def says_type(text: str) -> Reply:
    return Reply(status=200, body=json.dumps({"id": "t-1", "parts": [{"size": text}]}).encode())


def as_go_does(text: str) -> str:
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def says_as_go(text: str) -> Reply:
    return Reply(status=400, body=f'{{"message": "not with {as_go_does(text)}"}}'.encode())


def says_with_slashes(text: str) -> Reply:
    written = json.dumps({"message": text}).replace("/", "\\/")
    return Reply(status=400, body=written.encode())


def says_twice_written(text: str) -> Reply:
    return Reply(status=400, body=json.dumps({"message": as_go_does(text)}).encode())


def says_in_ascii(text: str) -> Reply:
    return Reply(status=400, body=json.dumps({"message": json.dumps({"given": text})}).encode())


def says_page_escaped(text: str) -> Reply:
    return Reply(status=502, body=f"<p>no such key: {escape(text)}</p>".encode())


def says_address(text: str) -> Reply:
    return Reply(status=404, body=f"<p>/login?with={quote(text, safe='')}</p>".encode())


def says_facts(text: str) -> Reply:
    body = {"message": "no", "metadata": {"given": text, text: "given"}}
    headers = {"x-request-id": f"for-{text}"}
    return Reply(status=403, headers=headers, body=json.dumps(body).encode())


def says_first_half(text: str) -> Reply:
    return Reply(status=400, body=json.dumps({"message": "x" * 480 + text}).encode())


ECHOES: list[Says] = [
    says_error, says_page, says_type, says_as_go, says_with_slashes, says_twice_written, says_in_ascii,
    says_page_escaped, says_address, says_facts, says_first_half,
]  # fmt: skip


def shown_by(error: CallError, caplog: pytest.LogCaptureFixture) -> str:
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = [str(frame.locals) for frame in report.stack if frame.filename != __file__]
    records = [f"{one.getMessage()} {vars(one)}" for one in caplog.records]
    return "\n".join(
        [
            str(error),
            repr(error),
            repr(vars(error)),
            *traceback.format_exception(error),
            *frames,
            *records,
        ]
    )


@pytest.mark.parametrize("says", ECHOES)
@pytest.mark.parametrize("secret", [PASSWORD, LONG, "  two\n lines  ", "the \U0001f511 is secret"])
def test_a_secret_is_masked_whatever_the_reply_that_repeats_it(
    says: Says, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error = kept(says(secret), secret)
    assert MASK in f"{error} {vars(error)}" or says is says_type
    shown = shown_by(error, caplog)
    shown.encode()
    for form in (secret, " ".join(secret.split()), escape(secret), quote(secret, safe="")):
        assert form not in shown
        assert form[:12] not in shown.replace("x" * 480, "")


@pytest.mark.parametrize("face", ["plain", "asyncio", "trio"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("variable", "repeated"),
    [
        ("me:p%40ss-word", ["p@ss-word", "p%40ss-word", "bWU6cEBzcy13b3Jk"]),
        ("token-1234", ["token-1234", "dG9rZW4tMTIzNDo="]),
    ],
)
def test_a_proxy_that_repeats_what_it_was_told_shows_nobody_the_password(
    serve: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    face: str,
    scheme: str,
    variable: str,
    repeated: list[str],
) -> None:
    # Only ours: httpcore logs what came, whatever that is.
    caplog.set_level(logging.DEBUG, logger="novitai_sdk")
    said = ", ".join(repeated)
    page = f"<p>not with {said}".encode()
    head = f"HTTP/1.1 407 Not with {said}\r\nX-Request-Id: {said}\r\nContent-Length: {len(page)}\r\n\r\n"

    def refuse(visit: Any) -> None:
        while visit.request() is not None and visit.send(head.encode() + page):
            pass

    proxy = serve(refuse)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv(f"{scheme}_proxy", f"http://{variable}@127.0.0.1:{proxy.port}")
    options: dict[str, Any] = {
        "api_key": KEY,
        "base_url": f"{scheme}://cloud.test",
        "allow_http": True,
        "retry": RetryPolicy(attempts=1),
        "store": "memory",
    }

    def plain() -> None:
        with Novitai(**options) as client:
            client.cloud.account.balance()

    async def awaited() -> None:
        async with AsyncNovitai(**options) as client:
            await client.cloud.account.balance()

    with pytest.raises(CallError) as caught:
        plain() if face == "plain" else anyio.run(awaited, backend=face)
    shown = shown_by(caught.value, caplog)
    assert "407" in shown or "Not with" in shown
    assert MASK in shown
    for form in repeated:
        assert form not in shown


def test_the_key_is_masked_in_a_success_that_repeats_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for says in ECHOES:
        assert KEY not in shown_by(Desk(*[says(KEY)] * 4).fails(), caplog)


def test_what_broke_a_connection_is_masked_too() -> None:
    failed = TransportFailed(f"the connection broke: illegal header {KEY}")
    failed.__cause__ = OSError(f"illegal header {KEY}")
    error = Desk(*[failed] * 4).fails()
    assert KEY not in f"{error} {error.__cause__} {error.history} {error.args}"


def test_the_password_is_masked_without_its_user() -> None:
    said = json.dumps({"message": "no login for bob with passw0rd"}).encode()
    error = kept(Reply(status=418, body=said), "bob:passw0rd")
    assert type(error) is ApiError
    assert error.message == "no login for bob with ***"
    assert "passw0rd" not in repr(vars(error))


@pytest.mark.parametrize("value", ["reason", "RESOURCE", "message", "INSUFFICIENT_RESOURCE"])
def test_a_secret_that_is_a_word_of_the_cloud_does_not_change_what_a_refusal_means(
    value: str,
) -> None:
    error = kept(refusal(400, "INSUFFICIENT_RESOURCE"), value)
    assert type(error) is NoCapacity
    assert error.reason == "INSUFFICIENT_RESOURCE"


@pytest.mark.parametrize("value", ["hush-secret-env\ud800", "\udc80" * 6])
def test_half_a_surrogate_pair_in_a_secret_changes_no_error(value: str) -> None:
    assert type(kept(says_as_go("nothing"), value)) is RequestRefused
    raw = Desk(says_as_go("nothing")).session.raw(KEEP, Keeps(value=Secret(value)))
    assert drive(raw).status == 400


def test_half_a_surrogate_pair_cannot_be_asked_for() -> None:
    desk = Desk(GOOD)
    with pytest.raises(ValidationError, match="surrogate"):
        drive(desk.session.call(READ, Asked(name="\ud800")))
    assert desk.sent == 0
