"""Faults to order from an :class:`~novitai_sdk.emulator.Emulator`, as values.

Every function here makes one :class:`Fault`. ``on`` names the operation it befalls (``instances.create``; ``*`` is
any, ``instances.*`` any on instances), ``times`` how often it does (None: until it is cleared), ``skip`` how many
calls it lets pass first; neither is below 0.

>>> from novitai_sdk.emulator import Emulator, faults
>>> cloud = Emulator(faults=[faults.rate_limited("clusters.list", retry_after=2)])
>>> cloud.get("/clusters").status, cloud.get("/clusters").status
(429, 200)
"""

from typing import Any

import attrs

from ._deeds import NO_STOCK, Body, Cut, Deed, Delay, Drop, OddStatus, Pull, Refusal, Truncation

__all__ = [
    "Fault",
    "by_chance",
    "cut_list",
    "dropped",
    "empty_reply",
    "failing_pull",
    "garbled_reply",
    "html_reply",
    "no_answer",
    "rate_limited",
    "refused",
    "server_error",
    "slow",
    "sold_out",
    "stuck_pull",
    "truncated_reply",
    "unknown_status",
]

CREATE = "instances.create"


def _not_negative(_: object, field: "attrs.Attribute[Any]", value: int | None) -> None:
    if value is not None and value < 0:
        raise ValueError(f"{field.name} must be 0 or more, not {value}")


@attrs.frozen(kw_only=True)
class Fault:
    """One thing that goes wrong, where, and how often. Made by the functions of this module."""

    on: str
    deed: Deed
    times: int | None = attrs.field(default=1, validator=_not_negative)
    skip: int = attrs.field(default=0, validator=_not_negative)
    chance: float = attrs.field(
        default=1.0, validator=(attrs.validators.ge(0.0), attrs.validators.le(1.0))
    )
    """How likely it befalls a call that it may befall."""


def by_chance(fault: Fault, chance: float) -> Fault:
    """Let *fault* befall each call with this *chance*, from 0 to 1, until it is cleared; the emulator's seed decides.

    >>> from novitai_sdk.emulator import Emulator
    >>> cloud = Emulator(seed=7, faults=[by_chance(server_error(), 0.5)])
    >>> [cloud.get("/clusters").status for _ in range(6)]
    [500, 500, 200, 500, 200, 500]
    """
    return attrs.evolve(fault, chance=chance, times=None)


def refused(
    on: str = "*",
    *,
    status: int = 400,
    reason: str = "UNKNOWN",
    message: str = "refused by order",
    after_effect: bool = False,
    times: int | None = 1,
    skip: int = 0,
) -> Fault:
    """Answer with this refusal; nothing else happens unless *after_effect*."""
    deed = Refusal(status=status, reason=reason, message=message, after_effect=after_effect)
    return Fault(on=on, deed=deed, times=times, skip=skip)


def rate_limited(
    on: str = "*", *, retry_after: float | str | None = None, times: int | None = 1, skip: int = 0
) -> Fault:
    """Answer 429, with *retry_after* (seconds, or the header's text) or without one; nothing else happens."""
    deed = Refusal(
        status=429,
        reason="RATE_LIMIT_EXCEEDED",
        message="too many requests",
        retry_after=retry_after,
    )
    return Fault(on=on, deed=deed, times=times, skip=skip)


def server_error(
    on: str = "*",
    *,
    status: int = 500,
    after_effect: bool = False,
    times: int | None = 1,
    skip: int = 0,
) -> Fault:
    """Answer 5xx; *after_effect*: what was asked happens all the same."""
    deed = Refusal(
        status=status, reason="UNKNOWN", message="internal error", after_effect=after_effect
    )
    return Fault(on=on, deed=deed, times=times, skip=skip)


def sold_out(on: str = CREATE, *, times: int | None = 1, skip: int = 0) -> Fault:
    """Answer 400 INSUFFICIENT_RESOURCE. To sell out one product or region, see ``Emulator.set_stock``."""
    deed = Refusal(status=400, reason=NO_STOCK, message="insufficient resource")
    return Fault(on=on, deed=deed, times=times, skip=skip)


def no_answer(on: str = CREATE, *, times: int | None = 1, skip: int = 0) -> Fault:
    """Do what was asked, then drop the connection: did it happen?"""
    return Fault(on=on, deed=Drop(after_effect=True), times=times, skip=skip)


def dropped(on: str = "*", *, times: int | None = 1, skip: int = 0) -> Fault:
    """Drop the connection before anything happens."""
    return Fault(on=on, deed=Drop(after_effect=False), times=times, skip=skip)


def html_reply(on: str = "*", *, status: int = 502, times: int | None = 1, skip: int = 0) -> Fault:
    """Do what was asked, then answer with a proxy's error page."""
    page = f"<html><head><title>{status} Bad Gateway</title></head><body><h1>{status} Bad Gateway</h1></body></html>"
    return garbled_reply(
        on,
        body=page.encode(),
        content_type="text/html; charset=utf-8",
        status=status,
        times=times,
        skip=skip,
    )


def empty_reply(on: str = "*", *, status: int = 200, times: int | None = 1, skip: int = 0) -> Fault:
    """Do what was asked, then answer with an empty body."""
    return garbled_reply(on, body=b"", status=status, times=times, skip=skip)


def garbled_reply(
    on: str = "*",
    *,
    body: bytes,
    content_type: str = "application/json",
    status: int = 200,
    times: int | None = 1,
    skip: int = 0,
) -> Fault:
    """Do what was asked, then answer with this body."""
    deed = Body(body=body, content_type=content_type, status=status)
    return Fault(on=on, deed=deed, times=times, skip=skip)


def truncated_reply(
    on: str = "*", *, keep: int = 10, times: int | None = 1, skip: int = 0
) -> Fault:
    """Do what was asked, then break off after *keep* bytes of the reply's body."""
    return Fault(on=on, deed=Truncation(keep=keep), times=times, skip=skip)


def slow(on: str = "*", *, seconds: float, times: int | None = 1, skip: int = 0) -> Fault:
    """Do what was asked, then wait so many seconds of real time before the reply (over HTTP only)."""
    return Fault(on=on, deed=Delay(seconds=seconds), times=times, skip=skip)


def failing_pull(
    *, message: str = "failed to pull image: manifest unknown", times: int | None = 1, skip: int = 0
) -> Fault:
    """Let a created instance fail in ``pulling``: it ends as ``exited`` with a ``statusError``."""
    return Fault(on=CREATE, deed=Pull(end="fail", message=message), times=times, skip=skip)


def stuck_pull(*, times: int | None = 1, skip: int = 0) -> Fault:
    """Let a created instance stay in ``pulling`` for ever."""
    return Fault(on=CREATE, deed=Pull(end="stick"), times=times, skip=skip)


def unknown_status(
    on: str = "instances.get", *, status: str = "levitating", times: int | None = 1, skip: int = 0
) -> Fault:
    """Show instances with a status nobody has heard of."""
    return Fault(on=on, deed=OddStatus(status=status), times=times, skip=skip)


def cut_list(
    on: str = "instances.list", *, keep: int = 0, times: int | None = None, skip: int = 0
) -> Fault:
    """End the listing after *keep* entries, while ``total`` goes on promising more."""
    return Fault(on=on, deed=Cut(keep=keep), times=times, skip=skip)
