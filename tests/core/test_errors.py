"""What an error tells, and that it goes on telling it after a journey."""

import copy
import inspect
import pickle
import re
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from novitai_sdk import errors
from novitai_sdk.errors import (
    ApiError,
    CallError,
    CallTimedOut,
    CircuitOpen,
    ConnectFailed,
    InstanceError,
    NovitaError,
    SettingsError,
    UnexpectedReply,
    WaitTimedOut,
)
from novitai_sdk.models import ValidationErrorDetail

CLASSES = [getattr(errors, name) for name in errors.__all__]
CONTEXT: dict[str, Any] = {
    "operation": "things.get",
    "attempts": 3,
    "elapsed": 1.5,
    "resend_safe": True,
}


def made(kind: type[NovitaError]) -> NovitaError:
    """An error of this class with everything it can carry."""
    if issubclass(kind, ApiError):
        return kind(
            "no",
            status=418,
            reason="TEAPOT",
            metadata={"field": "spout"},
            request_id="r-1",
            retry_after=2.0,
            **CONTEXT,
        )
    if issubclass(kind, CircuitOpen):
        noon = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
        return kind("held back", since=noon, why="503", probe_at=noon, **CONTEXT)
    if issubclass(kind, UnexpectedReply):
        return kind("odd", status=200, problems=["one @ $.a", "two @ $.b"], **CONTEXT)
    if issubclass(kind, CallError):
        return kind("broke", **CONTEXT)
    if issubclass(kind, InstanceError):
        return kind(
            "gone",
            instance_id="i-1",
            phase="pulling",
            elapsed=9.5,
            cost=Decimal("0.25"),
            reason="no image",
        )
    if kind is errors.SettingsError:
        return SettingsError(["one", "two"])
    if kind is errors.ValidationError:
        detail = ValidationErrorDetail(field="gpuNum", message="too many", value=99)
        return errors.ValidationError("bad input", [detail])
    if kind is errors.NoSuitableProduct:
        return errors.NoSuitableProduct(
            "none", product_name="RTX", region="US", candidates=["a: sold out"]
        )
    if kind is errors.ClientClosed:
        return errors.ClientClosed()
    return kind("what happened")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "journey",
    [
        copy.copy,
        copy.deepcopy,
        *[
            lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol))
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        ],
    ],
)
def test_an_error_survives_copies_and_pickles_with_all_it_knows(
    kind: type[NovitaError], journey: Any
) -> None:
    error = made(kind)
    arrived = journey(error)
    assert type(arrived) is kind
    assert (str(arrived), arrived.args, vars(arrived)) == (str(error), error.args, vars(error))


def test_what_was_added_to_an_error_travels_too() -> None:
    error = made(ConnectFailed)
    vars(error)["__notes__"] = ["try the other region"]
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["try the other region"]


def drawn() -> dict[str, str]:
    """Child and parent of every line of the tree in the docstring."""
    assert errors.__doc__ is not None
    above: list[tuple[int, str]] = []
    found: dict[str, str] = {}
    for line in errors.__doc__.splitlines():
        match = re.fullmatch(r"    ([│├└─ ]*)([A-Z]\w+)( .*)?", line)
        if match is None:
            continue
        depth, name = len(match[1]), match[2]
        while above and above[-1][0] >= depth:
            above.pop()
        found[name] = above[-1][1] if above else "Exception"
        above.append((depth, name))
    return found


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    own = {
        kind.__name__: kind.__bases__[0].__name__
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, NovitaError)
    }
    assert drawn() == own
    assert set(own) == set(errors.__all__)


def test_expired_deadlines_are_timeouts_for_everybody() -> None:
    assert isinstance(made(CallTimedOut), TimeoutError)
    assert isinstance(made(WaitTimedOut), TimeoutError)
    assert isinstance(made(errors.ValidationError), ValueError)


def test_a_refusal_tells_operation_status_reason_and_request() -> None:
    assert str(made(ApiError)) == (
        "things.get: no (after 3 attempts, 1.5 s) [HTTP 418, TEAPOT, request r-1]"
    )
    assert str(ApiError("no")) == "no"
    assert str(ApiError("no", status=500)) == "no [HTTP 500]"
    asked = errors.RateLimited("too many", status=429, retry_after=3600.0)
    assert str(asked) == "too many [HTTP 429]; wait 3600 s"
    assert str(errors.RateLimited("too many", status=429)) == "too many [HTTP 429]"


def test_a_single_attempt_is_not_worth_mentioning() -> None:
    assert str(ConnectFailed("no connection", operation="things.get")) == (
        "things.get: no connection"
    )


def test_an_unexpected_reply_has_a_line_for_every_problem() -> None:
    assert str(made(UnexpectedReply)) == (
        "things.get: odd (after 3 attempts, 1.5 s)\n  one @ $.a\n  two @ $.b"
    )
    assert UnexpectedReply("odd", problems=["one @ $.a"]).message == "odd"


def test_lists_of_problems_are_told_whole() -> None:
    assert str(made(SettingsError)) == "one; two"
    assert str(made(errors.ValidationError)) == "bad input\n  gpuNum: too many"
    whole = errors.ValidationError("bad", [ValidationErrorDetail(field="", message="no object")])
    assert str(whole) == "bad\n  (body): no object"
    assert str(made(errors.NoSuitableProduct)) == "none\n  a: sold out"
    assert str(made(errors.ClientClosed)) == "this client is closed; make a new one"


def test_errors_of_instances_carry_what_is_known() -> None:
    error = made(errors.CleanupFailed)
    assert isinstance(error, InstanceError)
    assert (error.instance_id, error.phase, error.elapsed) == ("i-1", "pulling", 9.5)
    assert (error.cost, error.reason, error.last) == (Decimal("0.25"), "no image", None)


# -- the contract's words for them ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (errors.ValidationError("no"), "VALIDATION_ERROR", False),
        (errors.ConnectFailed("no"), "NETWORK_ERROR", True),
        (errors.TransportFailed("no"), "NETWORK_ERROR", True),
        (made(CircuitOpen), "CIRCUIT_BREAKER_OPEN", True),
        (errors.CallTimedOut("no"), "REQUEST_TIMEOUT", True),
        (errors.UnexpectedReply("no"), "INVALID_RESPONSE", False),
        (errors.ApiError("no", status=418), "UNKNOWN_ERROR", False),
        (errors.Unauthorized("no"), "AUTHENTICATION_FAILED", False),
        (errors.PermissionDenied("no"), "ACCESS_FORBIDDEN", False),
        (errors.PermissionDenied("over your quota"), "RESOURCE_CONSTRAINTS", False),
        (errors.NotFound("no"), "NOT_FOUND", False),
        (errors.NotFound("no", operation="instances.get"), "INSTANCE_NOT_FOUND", False),
        (errors.NotFound("no", operation="templates.get"), "TEMPLATE_NOT_FOUND", False),
        (errors.NotFound("no", reason="TEMPLATE_NOT_FOUND"), "TEMPLATE_NOT_FOUND", False),
        (errors.NotFound("no", operation="registries.list"), "REGISTRY_AUTH_NOT_FOUND", False),
        (errors.InvalidState("no", status=400), "BAD_REQUEST", False),
        (errors.InvalidState("no", status=409), "RESOURCE_CONFLICT", False),
        (errors.NoCapacity("no"), "INSUFFICIENT_RESOURCE", True),
        (errors.RateLimited("no"), "RATE_LIMIT_EXCEEDED", True),
        (errors.InsufficientBalance("no"), "RESOURCE_CONSTRAINTS", False),
        (errors.RequestRefused("no", status=400), "BAD_REQUEST", False),
        (errors.RequestRefused("no", status=422), "VALIDATION_ERROR", False),
        (errors.ServerFailed("no"), "SERVER_ERROR", True),
        (errors.NoSuitableProduct("no", product_name="", region=""), "PRODUCT_NOT_FOUND", True),
        (
            errors.NoSuitableProduct("no", product_name="", region="", offered=True),
            "NO_AVAILABLE_PRODUCTS",
            True,
        ),
        (errors.InstanceNotFound("no", instance_id="i"), "INSTANCE_NOT_FOUND", False),
        (
            errors.InstanceStateError("no", instance_id="i", action="start"),
            "INSTANCE_NOT_STARTABLE",
            False,
        ),
        (
            errors.InstanceStateError("no", instance_id="i", action="stop"),
            "INSTANCE_NOT_STOPPABLE",
            False,
        ),
        (
            errors.InstanceStateError("no", instance_id="i", action="delete"),
            "INSTANCE_NOT_DELETABLE",
            False,
        ),
        (errors.InstanceFailed("no", instance_id="i"), "STARTUP_FAILED", False),
        (
            errors.InstanceFailed("no", instance_id="i", code="INSUFFICIENT_RESOURCE"),
            "INSUFFICIENT_RESOURCE",
            True,
        ),
        (
            errors.InstanceFailed("no", instance_id="i", code="ACCESS_FORBIDDEN"),
            "ACCESS_FORBIDDEN",
            False,
        ),
        (errors.WaitTimedOut("no", instance_id="i"), "STARTUP_TIMEOUT", True),
        (errors.CreateOutcomeUnknown("no", instance_id="i"), "STARTUP_TIMEOUT", True),
        (errors.CleanupFailed("no", instance_id="i"), "DELETE_FAILED", False),
        (errors.JobError("no"), None, False),
        (errors.SettingsError(["no"]), None, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_every_error_knows_the_contracts_word_for_it(
    error: NovitaError, code: str | None, retryable: bool
) -> None:
    assert (error.code, error.retryable) == (code, retryable)
    kept = pickle.loads(pickle.dumps(error))
    assert (kept.code, kept.retryable) == (code, retryable)
