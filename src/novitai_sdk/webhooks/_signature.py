"""Signing a webhook, and telling a signed one from anything else.

Two schemes stand side by side on every webhook:

* Standard Webhooks 1.0 (``webhook-id``, ``webhook-timestamp``, ``webhook-signature: v1,<base64>``): HMAC-SHA256 over
  ``id.timestamp.body``, so neither the time nor the id can be changed. This is the one to believe.
* The service's own ``X-Webhook-Signature: sha256=<hex>``, HMAC-SHA256 over the body alone, with ``X-Webhook-Timestamp``
  beside it, unsigned. It is sent for receivers that know nothing else; it can be replayed.
"""

import base64
import binascii
import hmac
import secrets as chance
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import Final, Protocol, TypeAlias, cast

import attrs

from .._inherited import Inherited
from ..errors import SignatureInvalid
from ..models import Secret

__all__ = ["Headers", "SeenIds", "Signed", "check_signature", "new_secret", "sign"]


class _Message(Protocol):
    """The headers of the standard library's server, which are no mapping."""

    def items(self) -> Iterable[tuple[str, str]]: ...


Headers: TypeAlias = (
    "Mapping[str, str] | _Message | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]"
)

_PREFIX: Final = "whsec_"
# The specification's bounds of a key, in bytes.
_KEY_SIZES: Final = range(24, 65)
_SHORTEST_TEXT: Final = 8
_LONGEST_HEADER: Final = 8192
# Digits of a time in seconds.
_LONGEST_TIME: Final = 12
_NO_KEY: Final = (
    "a standard signature takes a secret of 24 to 64 bytes, and there is none here: give both sides one of "
    "new_secret(), or verify the service's own signature with legacy=True"
)


def new_secret() -> str:
    """Return a fresh secret in the form of Standard Webhooks: ``whsec_`` and 32 random bytes in base64.

    >>> new_secret().startswith("whsec_")
    True
    """
    return _PREFIX + base64.b64encode(chance.token_bytes(32)).decode()


def check_secret(secret: str) -> None:
    """Raise ValueError unless *secret* can sign."""
    _texts(secret)
    _standard_key(secret)


def _standard_key(secret: str) -> bytes | None:
    """The key of a ``v1`` signature, or None when the secret is too weak for one."""
    if not secret.startswith(_PREFIX):
        key = secret.encode("utf-8", "surrogatepass")
        return key if len(key) in _KEY_SIZES else None
    try:
        key = base64.b64decode(secret[len(_PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a secret that begins with whsec_ must go on in base64") from None
    if len(key) not in _KEY_SIZES:
        raise ValueError(f"a whsec_ secret holds 24 to 64 bytes, not {len(key)}")
    return key


def _texts(secrets: object) -> list[str]:
    texts: list[str] = []
    for one in _several(secrets):
        text = one.reveal() if isinstance(one, Secret) else one
        # Most often None, where the environment lacks the variable. What was given may be a secret and is not repeated.
        if not isinstance(text, str):
            raise TypeError(f"a webhook secret is a text or a Secret, not {type(one).__name__}")
        texts.append(text)
    if any(len(text) < _SHORTEST_TEXT for text in texts):
        raise ValueError(f"a webhook secret has at least {_SHORTEST_TEXT} characters")
    return texts


def _several(secrets: object) -> list[object]:
    if isinstance(secrets, str | bytes | Secret) or not isinstance(secrets, Iterable):
        return [secrets]
    return list(cast("Iterable[object]", secrets))


def sign(
    body: bytes,
    *,
    secrets: "str | Secret | Sequence[str | Secret]",
    message_id: str,
    timestamp: int,
) -> dict[str, str]:
    """Return the headers that sign *body*, by each of *secrets* (newest first).

    A secret is ``whsec_`` and base64 of 24 to 64 bytes, or a plain text of at least 8 characters; one that is not 24 to
    64 bytes long signs in the service's own way only. *timestamp* is in whole seconds since 1970. Raises ValueError for
    an unusable secret, a *message_id* with a dot and a *timestamp* that is none, TypeError for what is no secret.

    >>> headers = sign(b"{}", secrets="a plain text of enough bytes", message_id="msg_1", timestamp=1767225600)
    >>> sorted(headers)
    ['X-Webhook-Signature', 'X-Webhook-Timestamp', 'webhook-id', 'webhook-signature', 'webhook-timestamp']
    """
    if (
        not message_id
        or "." in message_id
        or not message_id.isascii()
        or not message_id.isprintable()
    ):
        # A dot would let one id and time be read as another.
        raise ValueError(f"{message_id!r} cannot be a message id: printable ASCII without a dot")
    _check_time(timestamp)
    _check_bytes(body)
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    texts = _texts(secrets)
    keys = [key for key in map(_standard_key, texts) if key is not None]
    if keys:
        content = f"{message_id}.{timestamp}.".encode() + body
        headers["webhook-signature"] = " ".join(f"v1,{_standard(key, content)}" for key in keys)
    if texts:
        headers["X-Webhook-Signature"] = f"sha256={_plain(texts[0], body)}"
        headers["X-Webhook-Timestamp"] = str(timestamp)
    return headers


def _check_time(timestamp: object) -> None:
    if not isinstance(timestamp, int) or not 0 <= timestamp < 10**_LONGEST_TIME:
        raise ValueError(f"timestamp is {timestamp!r}: whole seconds since 1970 are expected")


def _check_bytes(body: object) -> None:
    if not isinstance(body, bytes | bytearray):
        # The usual mistake of a receiver: parsed JSON that is written again has other bytes.
        raise TypeError(f"the body is to be the bytes as they arrived, not {type(body).__name__}")


def _standard(key: bytes, content: bytes) -> str:
    return base64.b64encode(hmac.digest(key, content, "sha256")).decode()


def _plain(secret: str, body: bytes) -> str:
    return hmac.digest(secret.encode("utf-8", "surrogatepass"), body, "sha256").hex()


class SeenIds:
    """Remembers the ids of received webhooks, so that a replay is noticed.

    Bounded; for any number of threads, and not shared between processes.

    >>> seen = SeenIds()
    >>> seen.add("msg_1", now=0.0), seen.add("msg_1", now=1.0)
    (True, False)
    """

    def __init__(self, *, keep: float = 600.0, most: int = 100_000) -> None:
        self._keep = keep
        self._most = most
        self._ids: OrderedDict[str, float] = OrderedDict()
        """Until when each is remembered."""

        self.begin_anew()
        _in_this_process.add(self)

    def begin_anew(self) -> None:
        """After a fork, somebody in the parent may hold the lock."""
        self._lock = Lock()

    def add(self, message_id: str, *, now: float, until: float = 0.0) -> bool:
        """Remember an id for ``keep`` seconds and *until* then; False when it is known already.

        Both moments are seconds since 1970.
        """
        # Two deliveries of one message may arrive on two threads at once: only one of them is the first.
        with self._lock:
            while self._ids and next(iter(self._ids.values())) < now:
                self._ids.popitem(last=False)
            known = self._ids.get(message_id)
            if self._ids and known is None and len(self._ids) >= self._most:
                self._ids.popitem(last=False)
            # A known one too: it came with another signature, which may be valid for longer.
            self._ids[message_id] = max(known or 0.0, now + self._keep, until)
            self._ids.move_to_end(message_id)
            return known is None or known < now


_in_this_process = Inherited(SeenIds.begin_anew)


@attrs.frozen(kw_only=True)
class Signed:
    """What a valid signature vouches for."""

    message_id: str
    """The same in every redelivery; empty for a webhook signed only in the service's own way."""

    timestamp: int
    """Seconds since 1970 at which this delivery was sent."""


def check_signature(
    body: bytes,
    headers: Headers,
    secrets: "str | Secret | Sequence[str | Secret]",
    *,
    now: float,
    tolerance: float = 300.0,
    legacy: bool = False,
) -> Signed:
    """Return what the signature vouches for; raise SignatureInvalid for everything else.

    Any of *secrets* may have signed. The timestamp may be *tolerance* seconds off *now* in either direction. *legacy*
    accepts the service's own header where there is no standard one; its time is not signed, so it can be replayed.
    """
    _check_bytes(body)
    found = _lowered(headers)
    texts = _texts(secrets)
    if not texts:
        raise SignatureInvalid("there is no secret to verify with")
    if "webhook-signature" not in found and legacy:
        return _check_plain(body, found, texts, now=now, tolerance=tolerance)
    keys = [key for key in map(_standard_key, texts) if key is not None]
    if not keys:
        raise SignatureInvalid(_NO_KEY)
    message_id = _header(found, "webhook-id")
    timestamp = _header(found, "webhook-timestamp")
    sent = _sent_at(timestamp, now=now, tolerance=tolerance)
    if "." in message_id:
        raise SignatureInvalid("the message id holds a dot")
    content = f"{message_id}.{timestamp}.".encode() + body
    given = _given(_header(found, "webhook-signature"))
    expected = [hmac.digest(key, content, "sha256") for key in keys]
    # Every pair is compared, so that the time taken tells nothing about which one came near.
    matches = [hmac.compare_digest(one, other) for one in given for other in expected]
    if not any(matches):
        raise SignatureInvalid("no signature matches")
    return Signed(message_id=message_id, timestamp=sent)


def _check_plain(
    body: bytes, found: Mapping[str, str], texts: list[str], *, now: float, tolerance: float
) -> Signed:
    scheme, _, digest = _header(found, "x-webhook-signature").partition("=")
    sent = _sent_at(_header(found, "x-webhook-timestamp"), now=now, tolerance=tolerance)
    expected = [_plain(text, body).encode() for text in texts]
    matches = [hmac.compare_digest(digest.encode(), one) for one in expected]
    if scheme != "sha256" or not any(matches):
        raise SignatureInvalid("the signature does not match")
    return Signed(message_id="", timestamp=sent)


def _lowered(headers: Headers) -> dict[str, str]:
    items = getattr(headers, "items", None)
    pairs = cast("Iterable[tuple[object, object]]", items() if callable(items) else headers)
    try:
        return {_text(name).lower(): _text(value) for name, value in pairs}
    except (TypeError, ValueError):
        raise SignatureInvalid("the headers are no pairs of name and value") from None


def _text(said: object) -> str:
    # The raw headers of an ASGI application are bytes.
    return said.decode("latin-1") if isinstance(said, bytes) else str(said)


def _header(found: Mapping[str, str], name: str) -> str:
    value = found.get(name)
    if not value:
        raise SignatureInvalid(f"the header {name} is missing")
    if len(value) > _LONGEST_HEADER or not value.isascii():
        raise SignatureInvalid(f"the header {name} is too long or not ASCII")
    return value


def _sent_at(text: str, *, now: float, tolerance: float) -> int:
    if not text.isdigit() or len(text) > _LONGEST_TIME:
        raise SignatureInvalid("the timestamp is no whole number of seconds")
    sent = int(text)
    if not abs(now - sent) <= tolerance:  # also when one of them is no number at all
        raise SignatureInvalid(
            f"the timestamp is {now - sent:+.0f} s off, more than {tolerance:g} s"
        )
    return sent


def _given(header: str) -> list[bytes]:
    """The ``v1`` signatures of the header; other versions are skipped, as the specification asks."""
    found: list[bytes] = []
    for item in header.split():
        version, _, text = item.partition(",")
        if version != "v1":
            continue
        try:
            found.append(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            continue
    if not found:
        raise SignatureInvalid("there is no v1 signature")
    return found
