"""What it costs to make models of JSON: a list of a hundred instances, 250 KB.

    python benchmarks/parsing.py [rounds]

Beside ours: pydantic models of the same fields and the same strictness (numbers may be texts, an empty text is nothing,
unknown fields are kept, unknown values of enumerations too, secrets are masked), and our own classes made by hand with
no checks at all. Then what a record takes once it is kept, and what the first typed call pays for its classes.
"""

import enum
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Optional, Union, get_args, get_origin

import attrs
from measuring import compare, ratio
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, create_model
from records import HUNDRED

from novitai_sdk._convert import _fields as fields_of
from novitai_sdk._convert import cloud_converter
from novitai_sdk.cloud import InstanceList
from novitai_sdk.models import Json, Secret

# -- the same models, by pydantic --------------------------------------------------------------------


def blank(value: object) -> object:
    return None if value == "" else value


def no_time(value: object) -> object:
    return None if value in ("", "0", "-1", 0, -1) else value


def no_truth(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("true is no number")
    return None if value == "" else value


class OpenText(str, enum.Enum):
    @classmethod
    def _missing_(cls, value: object) -> "OpenText":
        member = str.__new__(cls, value)
        member._name_ = member._value_ = str(value)
        return member


@cache
def equivalent(kind: Any) -> Any:
    """The pydantic type that takes and refuses the same."""
    origin = get_origin(kind)
    if kind is Secret:
        return SecretStr
    if kind == Json or origin in (Mapping, dict):
        return Any
    if origin in (Union, UnionType):
        inner = present(kind)
        allowed = Optional[equivalent(inner)]  # noqa: UP045 - made of a value
        if inner in (str, Secret):
            return allowed
        check = {datetime: no_time, int: no_truth, float: no_truth, Decimal: no_truth}
        return Annotated[allowed, BeforeValidator(check.get(inner, blank))]
    if origin is tuple:
        return tuple[equivalent(get_args(kind)[0]), ...]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return OpenText(kind.__name__, {one.name: one.value for one in kind})
    return pydantic_model(kind) if attrs.has(kind) else kind


def pydantic_model(kind: Any) -> type[BaseModel]:
    own: dict[str, Any] = {}
    for name, field in fields_of(kind):
        required = field.default is attrs.NOTHING
        default = SecretStr("") if isinstance(field.default, Secret) else field.default
        own[field.name] = (equivalent(field.type), Field(... if required else default, alias=name))
    config = ConfigDict(extra="allow", frozen=True, coerce_numbers_to_str=True)
    return create_model(kind.__name__, __config__=config, **own)


# -- our own, by hand ---------------------------------------------------------------------------------


def present(kind: Any) -> Any:
    """What an optional value is when it is there."""
    if get_origin(kind) in (Union, UnionType) and kind != Json:
        (kind,) = (arg for arg in get_args(kind) if arg is not NoneType)
    return kind


def by_hand(kind: Any) -> Callable[[Any], Any]:
    """What somebody would type who trusts the wire: each field as it is, nested classes made, nothing checked."""
    names: dict[str, Any] = {"kind": kind}
    given: list[str] = []
    for number, (name, field) in enumerate(fields_of(kind)):
        inner = present(field.type)
        several = get_origin(inner) is tuple
        inner = present(get_args(inner)[0]) if several else inner
        value = f"w.get({name!r})"
        if attrs.has(inner):
            names[f"make{number}"] = by_hand(inner)
            made = f"make{number}"
            value = (
                f"tuple([{made}(i) for i in w.get({name!r}) or ()])"
                if several
                else f"{made}(v) if (v := w.get({name!r})) is not None else None"
            )
        given.append(f"{field.alias}={value}")
    made_by: Callable[[Any], Any] = eval(f"lambda w: kind({', '.join(given)})", names)
    return made_by


# -- the benchmark ------------------------------------------------------------------------------------


def kept(read: Callable[[], object]) -> float:
    """Bytes a record takes."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        held = [read() for _ in range(5)]
        return (tracemalloc.get_traced_memory()[0] - before) / (100 * len(held))
    finally:
        tracemalloc.stop()


FIRST = """
import sys, time
import novitai_sdk
assert "novitai_sdk.cloud" not in sys.modules, "the cloud's models are there before anybody asked"
assert "httpx" not in sys.modules
from novitai_sdk.cloud import InstanceList
import novitai_sdk._convert, json
body = json.loads(sys.stdin.read())
began = time.perf_counter()
novitai_sdk._convert.cloud_converter.structure(body, InstanceList)
first = time.perf_counter() - began
began = time.perf_counter()
novitai_sdk._convert.cloud_converter.structure(body, InstanceList)
print((first - (time.perf_counter() - began)) * 1e3)
"""


def first_call() -> float:
    """Milliseconds the first reading of one record takes more than the second, in a fresh interpreter."""
    one = json.dumps({"instances": [json.loads(HUNDRED)["instances"][0]]})
    times = [
        float(
            subprocess.run(
                [sys.executable, "-c", FIRST], input=one, text=True, check=True, capture_output=True
            ).stdout
        )
        for _ in range(7)
    ]
    return sorted(times)[3]


def main(rounds: int) -> None:
    model, hand = pydantic_model(InstanceList), by_hand(InstanceList)
    ways: Mapping[str, Callable[[], object]] = {
        "novitai_sdk": lambda: cloud_converter.structure(json.loads(HUNDRED), InstanceList),
        "json.loads and pydantic": lambda: model.model_validate(json.loads(HUNDRED)),
        "attrs by hand, no checks": lambda: hand(json.loads(HUNDRED)),
        "json.loads alone": lambda: json.loads(HUNDRED),
    }

    def side(read: Callable[[], object]) -> Callable[[], int]:
        def read_some() -> int:
            for _ in range(10):
                read()
            return 1000

        return read_some

    found = compare(
        f"A list of 100 ({len(HUNDRED) // 1000} KB) into models, per record",
        {name: side(read) for name, read in ways.items()},
        rounds,
    )
    ratio(found, "novitai_sdk", "json.loads and pydantic", 0.80)
    ratio(found, "novitai_sdk", "attrs by hand, no checks", 2.00)

    print("\nMemory a record takes once it is kept")
    taken = {name: kept(ways[name]) for name in list(ways)[:2]}
    for name, size in taken.items():
        print(f"  {name:<52} {size / 1024:9.1f} KiB")
    ratio(taken, "novitai_sdk", "json.loads and pydantic", 0.50)

    print("\nWhat the first typed call pays for its classes")
    first = first_call()
    verdict = "holds" if first <= 5 else "MISSED"
    print(
        f"  {'hooks of InstanceList and all below it':<52} {first:9.2f} ms   (at most 5: {verdict})"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 21)
