"""Taking our secrets out of what an error says.

Some services repeat what they refuse, and some what they took. An error is shown, logged and traced, so its words are
masked when it has been read: what it means is read from the words as they came.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from html import unescape
from typing import Final
from urllib.parse import unquote

from .cloud._refusals import is_known_reason, shown
from .errors import CallError, UnexpectedReply
from .models import Secret
from .models._base import MASK

__all__ = ["Mask", "hide"]

# A part of a secret that is no shorter than this is as good as one; the same for a secret that was cut.
_SHORTEST: Final = 6
_SHORTEST_PIECE: Final = 4
# Causes may go in a circle.
_DEEPEST: Final = 20

_ESCAPED: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_CONTROLS: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_HALF_AN_ESCAPE: Final = re.compile(r"(?:&[^;\s]{0,7}|\\\S{0,5}|%.?)\Z")


def _without_backslashes(text: str) -> str:
    read = _ESCAPED.sub(_one_character, text)
    # JSON writes what is beyond 16 bits in two halves, which are one character, and no text by themselves.
    return read.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _one_character(found: "re.Match[str]") -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else _CONTROLS.get(found[3], found[3])


# How those write who repeat: JSON (Go writes & < > as \u0026 and so on), pages, addresses, and JSON in a page.
_READINGS: Final[tuple[Callable[[str], str], ...]] = (
    _without_backslashes,
    unescape,
    unquote,
    lambda text: unescape(_without_backslashes(text)),
    lambda text: _without_backslashes(unescape(text)),
)


class Mask:
    """Knows the secrets of one request, and takes them out of texts."""

    __slots__ = ("_texts",)

    def __init__(self, secrets: Iterable[Secret]) -> None:
        found = {form for secret in secrets for form in _forms(secret.reveal())}
        # The longest first, for one may be part of another.
        self._texts: tuple[str, ...] = tuple(sorted(found, key=len, reverse=True))

    def text(self, said: str) -> str:
        """Return *said* without them, however they are written in it."""
        said = self._plain(said)
        for reading in _READINGS:
            read = reading(said)
            if read != said and (masked := self._plain(read)) != read:
                said = masked
        return said

    def data(self, content: bytes) -> bytes:
        """Return *content* without them, as they are and as JSON writes them."""
        for text in self._texts:
            for written in {
                text,
                json.dumps(text)[1:-1],
                json.dumps(text, ensure_ascii=False)[1:-1],
            }:
                # Half of a surrogate pair is a text in Python, and in JSON.
                content = content.replace(written.encode("utf-8", "surrogatepass"), MASK.encode())
        return content

    def _plain(self, said: str) -> str:
        for text in self._texts:
            said = said.replace(text, MASK)
        return self._at_the_cut(said) if said.endswith("…") else said

    def _at_the_cut(self, said: str) -> str:
        """Mask the beginning of a secret at the end of a text that was shortened."""
        for kept in {said[:-1], _HALF_AN_ESCAPE.sub("", said[:-1])}:
            for text in self._texts:
                place = kept.find(text[:_SHORTEST_PIECE])
                while place >= 0:
                    if text.startswith(kept[place:]):
                        return f"{kept[:place]}{MASK}…"
                    place = kept.find(text[:_SHORTEST_PIECE], place + 1)
        return said


def _forms(text: str) -> Iterator[str]:
    # The password of user:password is a secret by itself.
    for part in (text, text.partition(":")[2]):
        # JSON in a text, too, has its spaces put in order with it.
        for form in (part, *shown(part), *shown(json.dumps(part)[1:-1])):
            if len(form) >= _SHORTEST:
                yield form


def hide(error: CallError, mask: Mask) -> None:
    """Take secrets out of all that *error* and those behind it say."""
    error.message = mask.text(error.message)
    error.request_id = error.request_id and mask.text(error.request_id)
    if isinstance(error, UnexpectedReply):
        error.problems = tuple(map(mask.text, error.problems))
    # A word of the cloud's own table is no secret, though somebody's may be part of it.
    if error.reason is not None and not is_known_reason(error.reason):
        error.reason = mask.text(error.reason)
    error.metadata = {mask.text(key): mask.text(text) for key, text in error.metadata.items()}
    behind: BaseException | None = error
    for _ in range(_DEEPEST):
        if behind is None:
            break
        behind.args = tuple(mask.text(one) if isinstance(one, str) else one for one in behind.args)
        behind = behind.__cause__
