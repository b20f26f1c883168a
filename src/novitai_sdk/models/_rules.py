"""What a request may say. A rule is a value; a table of rules, read from top to bottom, finds every problem at once.

The rules and messages are the service contract's. Where it promises a friendly message for a field but its validator
answered with a generic one, the friendly one is given; the generic form (``"name" is required``) is left for what the
contract has no other words for. Sizes are bounded where the contract forgot to: a text of ten megabytes is a mistake.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from ..errors import ValidationError
from ._base import MASK
from ._details import ValidationErrorDetail
from ._enums import BillingMode
from ._shown import bounded

DEFAULT_REGIONS: Final = ("CN-HK-01", "US-WEST-01", "EU-WEST-01")
"""The regions a request may name unless the settings say otherwise."""

FAILED: Final = "Validation failed"
"""The sentence over all problems of a body."""

REQUIRED: Final = object()
ABSENT: Final = object()

LONGEST_ID: Final = 255
_LONGEST_URL: Final = 2048
_LONGEST_NUMBER: Final = 100

ID: Final = re.compile(r"[a-zA-Z0-9_-]+", re.ASCII)
# Texts, not patterns: compiled with the first use and kept by `re`, they cost an import of this library nothing.
_NUMBER: Final = r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,20})?\s*"
# RFC 3986 with a host. The scheme is lower case: the contract's validator takes no other.
_URL: Final = (
    r"https?://"
    r"(?:(?P<user>(?:[\w.~!$&'()*+,;=:-]|%[0-9a-fA-F]{2})*)@)?"
    r"(?:\[[0-9a-fA-F:.]+\]|(?:[\w.~!$&'()*+,;=-]|%[0-9a-fA-F]{2})+)"
    r"(?::(?P<port>\d{0,5}))?"
    r"(?:[/?#](?:[\w.~!$&'()*+,;=:@/?#\[\]-]|%[0-9a-fA-F]{2})*)?"
)


class Checked(NamedTuple):
    """What became of one value: what it stands for, or what is wrong with it."""

    value: object
    details: tuple[ValidationErrorDetail, ...] = ()


Check = Callable[[str, object], Checked]
"""Judges a value for the field of that wire name."""


class Rule(NamedTuple):
    """What one field may hold."""

    name: str
    """In Python."""

    wire: str
    check: Check

    default: object = REQUIRED
    """What it is when missing; `REQUIRED` for a problem, `ABSENT` for nothing."""

    missing: str = ""
    """The message when it is required and missing; the generic one when empty."""


class Findings(NamedTuple):
    """What a table of rules found in a body."""

    values: dict[str, object]
    """What is valid, by Python name, defaults included."""

    details: tuple[ValidationErrorDetail, ...]
    """What is not, in the order of the table."""


def examine(rules: Sequence[Rule], body: Mapping[str, object]) -> Findings:
    """Return everything that *rules* have to say about *body*; what they do not name is left out."""
    values: dict[str, object] = {}
    details: list[ValidationErrorDetail] = []
    for rule in rules:
        if rule.wire in body:
            value, found = rule.check(rule.wire, body[rule.wire])
            details += found
            if not found:
                values[rule.name] = value
        elif rule.default is REQUIRED:
            message = rule.missing or f'"{rule.wire}" is required'
            details.append(ValidationErrorDetail(field=rule.wire, message=message, given=False))
        elif rule.default is not ABSENT:
            values[rule.name] = rule.default
    return Findings(values, tuple(details))


def uphold(request: object, rules: Sequence[Rule]) -> None:
    """Hold a request that is being made to *rules*, and put in place what its values stand for.

    Raises ValidationError with every problem. None means absent where the field may be.
    """
    body: dict[str, object] = {}
    for rule in rules:
        value = getattr(request, rule.name)
        if value is not None or rule.default is not ABSENT:
            body[rule.wire] = value
    values, details = examine(rules, body)
    if details:
        raise ValidationError(FAILED, details)
    for name, value in values.items():
        object.__setattr__(request, name, value)


def wrong(field: str, value: object, *messages: str) -> Checked:
    """Return the verdict that *value* will not do, for each of the reasons."""
    shown = bounded(value)
    return Checked(
        None,
        tuple(
            ValidationErrorDetail(field=field, message=message, value=shown, given=True)
            for message in messages
        ),
    )


# -- kinds of values ---------------------------------------------------------------------------------


def text(
    most: int, *, subject: str, empty: str = "", pattern: re.Pattern[str] | None = None
) -> Check:
    """Return the check for a text of 1 to *most* characters, all of them from *pattern* where one is given.

    Without a pattern, not all of them may be blanks.

    *subject* begins the messages; *empty* is the one for an empty text, the generic one unless given.
    """

    def check(field: str, value: object) -> Checked:
        if not isinstance(value, str):
            return wrong(field, value, f'"{field}" must be a string')
        # Blanks alone name nothing, and searched for they are found in every name.
        if not value or (pattern is None and value.isspace()):
            return wrong(field, value, empty or f'"{field}" is not allowed to be empty')
        problems: list[str] = []
        if len(value) > most:
            problems.append(f"{subject} must be at most {most} characters long")
        if pattern is not None and not pattern.fullmatch(value):
            problems.append(
                f"{subject} must contain only alphanumeric characters, hyphens, and underscores"
            )
        elif not problems and not _is_unicode(value):
            problems.append(f"{subject} must be valid Unicode text")
        return wrong(field, value, *problems) if problems else Checked(str.__str__(value))

    return check


def whole(
    least: int, most: int | None, *, not_whole: str, too_small: str, too_big: str = ""
) -> Check:
    """Return the check for a whole number from *least* to *most*, which a numeric text may stand for."""

    def check(field: str, value: object) -> Checked:
        number = _number(value)
        if number is None:
            return wrong(field, value, not_whole)
        problems = [not_whole] if number != int(number) else []
        if number < least:
            problems.append(too_small)
        elif most is not None and number > most:
            problems.append(too_big)
        return wrong(field, value, *problems) if problems else Checked(int(number))

    return check


def ranged(
    subject: str, least: int, most: int, *, unit: str = "", notes: tuple[str, str] = ("", "")
) -> Check:
    """Return the check for a whole number whose messages begin with *subject*."""
    return whole(
        least,
        most,
        not_whole=f"{subject} must be an integer",
        too_small=f"{subject} must be at least {least}{unit}{notes[0]}",
        too_big=f"{subject} must be at most {most}{unit}{notes[1]}",
    )


def web_address(field: str, value: object) -> Checked:
    """Check a webhook URL: absolute, http or https, with a host. Where it leads is for the delivery to decide."""
    found = _url(value)
    if found is None:
        return wrong(field, _guarded(value), "Webhook URL must be a valid HTTP or HTTPS URL")
    return Checked(found[0])


def receiver_address(field: str, value: object) -> Checked:
    """Check a webhook URL that is to be sent to. The contract takes one with a password, the delivery does not."""
    return _receiver(field, value, plain=True)


def https_address(field: str, value: object) -> Checked:
    """Check a webhook URL that is to be sent to where plain http is not allowed."""
    return _receiver(field, value, plain=False)


def _receiver(field: str, value: object, *, plain: bool) -> Checked:
    found = _url(value)
    if found is None:
        return web_address(field, value)
    problems: list[str] = []
    if not plain and found[0].startswith("http:"):
        problems.append(
            "Webhook URL must be HTTPS, unless the setting webhook_allow_http allows plain HTTP"
        )
    if found["user"] is not None:
        problems.append(
            "Webhook URL must not hold a user or a password: its receiver knows us by the signature"
        )
    return wrong(field, _without_user(found), *problems) if problems else Checked(found[0])


def _url(value: object) -> "re.Match[str] | None":
    if not isinstance(value, str) or len(value) > _LONGEST_URL:
        return None
    found = re.fullmatch(_URL, value, re.ASCII)
    return found if found is not None and int(found["port"] or 0) <= 65535 else None


def _without_user(found: "re.Match[str]") -> str:
    start, end = found.span("user")
    return found[0] if start < 0 else f"{found[0][:start]}{MASK}{found[0][end:]}"


def _guarded(value: object) -> object:
    """Return what is no URL without anything in it that may have been meant for a password."""
    if not isinstance(value, str) or "@" not in value:
        return value
    scheme = re.match("https?://", value)
    return f"{scheme[0] if scheme else ''}{MASK}@{value.rpartition('@')[2]}"


def one_of(
    words: Sequence[str], message: str, made: Callable[[str], object] = str.__str__
) -> Check:
    """Return the check for one of *words*."""

    def check(field: str, value: object) -> Checked:
        if isinstance(value, str) and value in words:
            return Checked(made(value))
        return wrong(field, value, message)

    return check


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(value: object) -> int | float | None:
    """Return the finite number that *value* is or stands for."""
    if isinstance(value, str):
        if len(value) > _LONGEST_NUMBER or not re.fullmatch(_NUMBER, value, re.ASCII):
            return None
        value = float(value)  # never `Decimal` or `int`: 1e999999999 would be written out
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def _template_id(field: str, value: object) -> Checked:
    if isinstance(value, str):
        return _TEMPLATE_TEXT(field, value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return wrong(field, value, f'"{field}" must be a string or a number')
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if abs(number) >= _TOO_LONG:
        return wrong(field, value, f'"{field}" must be a safe number')
    if number < 1 or not number.is_integer():
        return wrong(field, value, "Template ID must be a positive integer")
    # JSON knows one kind of number: 12.0 names the template that 12 names.
    return Checked(int(value))


# -- the table -----------------------------------------------------------------------------------------

# As a text, which is what is sent, it has more characters than an id may have.
_TOO_LONG: Final = 10.0**LONGEST_ID
_TEMPLATE_TEXT: Final = text(LONGEST_ID, subject="Template ID", empty="Template ID is required")

_BEFORE_REGION: Final = (
    Rule(
        "name",
        "name",
        text(100, subject="Name", empty="Name must be at least 1 character long", pattern=ID),
    ),
    Rule(
        "product_name",
        "productName",
        text(200, subject="Product name", empty="Product name is required"),
        missing="Product name is required",
    ),
    Rule("template_id", "templateId", _template_id, missing="Template ID is required"),
    Rule("gpu_num", "gpuNum", ranged("GPU number", 1, 8), default=1),
    Rule(
        "rootfs_size",
        "rootfsSize",
        ranged("Root filesystem size", 20, 1000, unit="GB"),
        default=60,
    ),
)
WEBHOOK_URL: Final = Rule("webhook_url", "webhookUrl", web_address, default=ABSENT)
BILLING_MODE: Final = Rule(
    "billing_mode",
    "billingMode",
    one_of(
        (BillingMode.SPOT, BillingMode.ON_DEMAND),
        'Billing mode must be either "spot" or "onDemand"',
        BillingMode,
    ),
    default=BillingMode.SPOT,
)
_AFTER_REGION: Final = (WEBHOOK_URL, BILLING_MODE)


def default_region(regions: Sequence[str]) -> str:
    """Return the region of a request that names none: the contract's default, or else the first of those allowed."""
    return DEFAULT_REGIONS[0] if DEFAULT_REGIONS[0] in regions else regions[0]


def as_regions(regions: Sequence[str]) -> tuple[str, ...]:
    """Return *regions* as a tuple. Raises ValueError when there is none, or a text was given for a list of texts."""
    if isinstance(regions, str) or not regions:
        raise ValueError(f"regions must be a list of at least one region, not {regions!r}")
    return tuple(regions)


def create_rules(regions: tuple[str, ...]) -> tuple[Rule, ...]:
    """Return the rules of a request to create an instance in one of *regions*."""
    region = one_of(regions, f"Region must be one of: {', '.join(regions)}")
    return (
        *_BEFORE_REGION,
        Rule("region", "region", region, default=default_region(regions)),
        *_AFTER_REGION,
    )
