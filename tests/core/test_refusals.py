"""How the cloud's refusals are read: by reason, then by message, then by status, and never with an accident."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk.cloud._refusals import read_refusal, read_retry_after
from novitai_sdk.errors import (
    ApiError,
    InsufficientBalance,
    InvalidState,
    NoCapacity,
    NotFound,
    PermissionDenied,
    RateLimited,
    RequestRefused,
    ServerFailed,
    Unauthorized,
)

PAGE = b"<html><head><title>404 Not Found</title></head><body>nginx</body></html>"


def read(status: int, body: Any, **headers: str) -> ApiError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_refusal(status, named, raw, now=0.0).error()


def said(message: str, **more: Any) -> dict[str, Any]:
    return {"message": message, **more}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # the canonical body, decided by its reason
        (401, said("no key", code=401, reason="UNAUTHORIZED", metadata={}), Unauthorized),
        (403, said("no", reason="INVALID_API_KEY"), Unauthorized),
        (400, said("no", reason="MISSING_API_KEY"), Unauthorized),
        (403, said("no", reason="FORBIDDEN"), PermissionDenied),
        (400, said("no", reason="TEMPLATE_IS_PRIVATE"), PermissionDenied),
        (400, said("no", reason="CREATE_INSTANCE_LIMIT"), PermissionDenied),
        (400, said("no", reason="RESOURCE_NOT_FOUND"), NotFound),
        (404, said("no", reason="API_NOT_FOUND"), NotFound),
        (400, said("no", reason="CONFLICT"), InvalidState),
        (400, said("no", reason="OPERATION_LIMIT"), InvalidState),
        (429, said("no", reason="RATE_LIMIT_EXCEEDED"), RateLimited),
        (400, said("no", reason="SEND_CODE_TOO_FAST"), RateLimited),
        (400, said("no", reason="BALANCE_NOT_ENOUGH"), InsufficientBalance),
        (500, said("no", reason="WALLET_NOT_FOUND"), InsufficientBalance),
        (400, said("no", reason="VALIDATOR_PARAM"), RequestRefused),
        (403, said("no", reason="REQUEST"), RequestRefused),
        # a word for anything, beside what tells more
        (400, said("no", reason="VALIDATOR_PARAM", code="INSUFFICIENT_RESOURCE"), NoCapacity),
        (400, said("no", reason="SOMETHING_NEW", code="INSUFFICIENT_RESOURCE"), NoCapacity),
        (400, said("instance not found", reason="VALIDATOR_PARAM"), NotFound),
        (400, said("invalid state change", reason="REQUEST"), InvalidState),
        (500, said("instance not found", reason="VALIDATOR_PARAM"), ServerFailed),
        (429, said("no", reason="REQUEST"), RateLimited),
        (500, said("no", reason="UNKNOWN"), ServerFailed),
        (400, said("no", reason="UNKNOWN"), ServerFailed),
        (429, said("no", reason="UNKNOWN"), RateLimited),
        # no stock: in the reason, in the code, in the message
        (400, said("no", code=400, reason="INSUFFICIENT_RESOURCE"), NoCapacity),
        (400, said("no", code="INSUFFICIENT_RESOURCE"), NoCapacity),
        (400, said("create: INSUFFICIENT_RESOURCE (gpu)"), NoCapacity),
        (403, said("insufficient resource in this cluster"), NoCapacity),
        (400, said("no", reason="NODE_STATUS"), NoCapacity),
        # the message, where there is no reason or one nobody knows
        (400, said("invalid state change from running"), InvalidState),
        (400, said("template not found"), NotFound),
        (400, said("instance not fount", reason="SOMETHING_NEW"), NotFound),
        # the status, where nothing else is said
        (400, said("no"), RequestRefused),
        (401, {}, Unauthorized),
        (402, {}, InsufficientBalance),
        (403, {}, PermissionDenied),
        (404, {}, NotFound),
        (404, b"", NotFound),
        (408, {}, ServerFailed),
        (409, {}, InvalidState),
        (422, {}, RequestRefused),
        (429, {}, RateLimited),
        (500, {}, ServerFailed),
        (502, PAGE, ServerFailed),
        (503, b"", ServerFailed),
        (599, {}, ServerFailed),
        (418, {}, ApiError),
        # what the message may not overrule
        (401, said("user not found"), Unauthorized),
        (429, said("quota not found"), RateLimited),
        (500, said("instance not found"), ServerFailed),
        (500, said("lookup failed: RESOURCE_NOT_FOUND"), ServerFailed),
        # a page of something in between does not say that a thing is gone
        (404, PAGE, ApiError),
        (404, b"not found", ApiError),
        (404, b"[]", ApiError),
        (403, PAGE, PermissionDenied),
    ],
)
def test_the_meaning_of_a_refusal(status: int, body: Any, kind: type[ApiError]) -> None:
    error = read(status, body)
    assert type(error) is kind
    assert error.status == status


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (said("what is wrong", error="else"), "what is wrong"),
        ({"error": "of a gateway"}, "of a gateway"),
        ({"reason": "A_WORD"}, "A_WORD"),
        ({"title": "of another family"}, "of another family"),
        (said("", error="  spaced\n out\t"), "spaced out"),
        (said(5, error=None, title="the first text"), "the first text"),
        ({"message": {"nested": 1}}, "the cloud answered 400 without a message"),
        (b"", "the cloud answered 400 without a message"),
        (b" \n", "the cloud answered 400 without a message"),
        (b"{}", "the cloud answered 400 without a message"),
        (PAGE, "the cloud answered 400 with something that is not its own: 404 Not Found nginx"),
        (
            "größer".encode("latin-1"),
            "the cloud answered 400 with something that is not its own: gr��er",
        ),
        ("utf-16".encode("utf-16"), None),
        (b"\xef\xbb\xbf" + b'{"message": "with a mark"}', "with a mark"),
    ],
)
def test_the_message_is_the_first_text_that_says_something(body: Any, message: str | None) -> None:
    error = read(400, body)
    assert error.message.isprintable()
    if message is not None:
        assert error.message == message


def test_reason_metadata_and_request_id_are_kept() -> None:
    error = read(
        400,
        said(
            "bad",
            reason="VALIDATOR_PARAM",
            metadata={"field": "gpuNum", "limit": 8, "list": [1], "more": {"a": 1}, "none": None},
        ),
        x_request_id="r-1",
        retry_after="3",
    )
    assert error.reason == "VALIDATOR_PARAM"
    assert error.metadata == {"field": "gpuNum", "limit": "8", "none": "None"}
    assert (error.request_id, error.retry_after) == ("r-1", 3.0)


@pytest.mark.parametrize("header", ["x_request_id", "requestid", "x_trace_id", "X_B3_TraceId"])
def test_the_request_id_goes_by_many_names(header: str) -> None:
    assert read(500, b"", **{header: "r-2"}).request_id == "r-2"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (said("m", reason="A_B"), "A_B"),
        (said("m", reason="CONFLICT"), "CONFLICT"),
        (said("m", code="A_B"), "A_B"),
        (said("m", reason="", code="A_B"), "A_B"),
        (said("m: A_B, C_D"), "A_B"),
        (said("m", code=400), None),
        (said("m", reason="lower case"), None),
        (said("m", reason="LOG\nINJECTION"), None),
        (said("m", reason="X" * 101), None),
        (said("m", reason=["A_B"]), None),
        (said("HTTP ERROR"), None),
    ],
)
def test_a_reason_is_one_word_in_capitals(body: Any, reason: str | None) -> None:
    assert read(400, body).reason == reason


def test_what_is_large_is_cut_and_what_is_deep_is_left() -> None:
    assert len(str(read(400, said("x" * 10_000_000)))) < 600
    assert len(str(read(502, b"<p>" + b"y" * 10_000_000))) < 700
    assert (
        len(read(400, said("m", metadata={str(n): "z" * 9_999 for n in range(999)})).metadata) == 50
    )
    deep = read(400, b'{"message": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert "not its own" in deep.message
    assert len(read(500, b"", x_request_id="r" * 10_000).request_id or "") < 600


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)
FIELDS = st.sampled_from(["code", "reason", "message", "metadata", "error", "title"])
BODIES = (
    st.binary(max_size=300)
    | ANYTHING.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(FIELDS, ANYTHING).map(lambda value: json.dumps(value).encode())
)


@given(
    st.integers(100, 999),
    BODIES,
    st.dictionaries(st.sampled_from(["retry-after", "x-request-id", "date"]), st.text(max_size=40)),
)
def test_whatever_comes_ends_in_an_error_that_can_be_shown(
    status: int, body: bytes, headers: dict[str, str]
) -> None:
    error = read_refusal(status, headers, body, now=1e9).error(operation="things.get")
    assert isinstance(error, ApiError)
    assert error.status == status
    assert error.message
    assert str(error).isprintable()
    assert len(str(error)) < 2_000
    assert error.retry_after is None or error.retry_after >= 0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Thu, 01 Jan 1970 00:16:50 GMT", 10.0),
        ("Thu, 01 Jan 1970 00:16:50", 10.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        (None, None),
        ("", None),
        ("-1", None),
        ("1.5", 1.5),
        ("1.", None),
        (".5", None),
        ("1e3", None),
        ("²", None),
        ("9" * 9, 999_999_999.0),
        ("9" * 10, 1e9),
        ("9" * 400, 1e9),
        ("soon", None),
        ("Thu, 99 Jan 1970 00:00:00 GMT", None),
    ],
)
def test_the_wait_a_server_asks_for(value: str | None, seconds: float | None) -> None:
    assert read_retry_after(value, now=1_000.0) == seconds


@given(st.text())
def test_any_text_is_a_wait_or_none(value: str) -> None:
    found = read_retry_after(value, now=0.0)
    assert found is None or found >= 0


def test_a_reason_that_tells_nothing_does_not_hide_a_code_that_does() -> None:
    body = b'{"code": "INSUFFICIENT_RESOURCE", "reason": "UNKNOWN", "message": "refused"}'
    found = read_refusal(400, {}, body, now=0.0)
    assert (found.meaning, found.reason) == (NoCapacity, "INSUFFICIENT_RESOURCE")
