"""Where settings come from, what they may be, and what is said when they may not."""

import copy
import pickle
import traceback
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk import Settings
from novitai_sdk._circuit import CircuitBreaker
from novitai_sdk._rate import RateLimit
from novitai_sdk._retry import RetryPolicy
from novitai_sdk.errors import SettingsError
from novitai_sdk.models import DEFAULT_REGIONS, Secret
from novitai_sdk.settings import Options

KEY = "sk-very-secret-key"
NAMES = sorted(Options.__annotations__)

# A value as argument; a text in the environment (None: it is not read from there); what each comes to.
SOURCES: dict[str, tuple[Any, Any, str | None, Any]] = {
    "api_key": (" a ", Secret("a"), "e\n", Secret("e")),
    "base_url": ("HTTPS://A.test/", "https://A.test", "http://127.0.0.1:1/", "http://127.0.0.1:1"),
    "timeout": (1, 1.0, "2.5", 2.5),
    "attempt_timeout": (1, 1.0, "2", 2.0),
    "allow_http": (True, True, "on", True),
    "connect_timeout": (1, 1.0, "2", 2.0),
    "http2": (True, True, "yes", True),
    "max_connections": (1, 1, "2", 2),
    "retry": (RetryPolicy(attempts=1), RetryPolicy(attempts=1), "2", RetryPolicy(attempts=2)),
    "rate_limit": (None, None, "20/2", RateLimit(calls=20, seconds=2, burst=20)),
    "circuit_breaker": (CircuitBreaker(rest=1), CircuitBreaker(rest=1), "off", None),
    "on_attempt": (print, (print,), None, ()),
    "on_job": (print, (print,), None, ()),
    "degraded_age": (1, 1.0, "2", 2.0),
    "degraded_depth": (1, 1, "2", 2),
    "store_synchronous": ("NORMAL", "NORMAL", "normal", "NORMAL"),
    "regions": (["A", "B"], ("A", "B"), " C, D ,", ("C", "D")),
    "store": ("memory", "memory", "/tmp/x.db", "/tmp/x.db"),
    "startup_timeout": (1, 1.0, "2", 2.0),
    "poll_interval": (1, 1.0, "2", 2.0),
    "settle": (0, 0.0, "2", 2.0),
    "drain": (0, 0.0, "2", 2.0),
    "webhook_secrets": (
        ["12345678", Secret("abcdefgh")],
        (Secret("12345678"), Secret("abcdefgh")),
        "87654321,hgfedcba",
        (Secret("87654321"), Secret("hgfedcba")),
    ),
    "webhook_allow_http": (True, True, "Yes", True),
    "webhook_allow_networks": ("127.0.0.1/8", ("127.0.0.0/8",), "::1", ("::1/128",)),
    "application": ("app/1", "app/1", "env/2", "env/2"),
}
DEFAULTS = {
    "base_url": "https://api.novita.ai",
    "timeout": 60.0,
    "regions": DEFAULT_REGIONS,
    "store": "",
    "webhook_secrets": (),
    "webhook_allow_http": False,
}


def variable(name: str) -> str:
    return "NOVITA_API_KEY" if name == "api_key" else f"NOVITAI_{name.upper()}"


def read(environ: dict[str, str], **given: Any) -> Settings:
    if "api_key" not in given:
        environ = {"NOVITA_API_KEY": KEY, **environ}
    return Settings(environ=environ, **given)


def problems(environ: dict[str, str] | None = None, **given: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(environ or {}, **given)
    return list(caught.value.problems)


def test_every_setting_is_tried() -> None:
    assert sorted(SOURCES) == NAMES == sorted(field.name for field in attrs.fields(Settings))


@pytest.mark.parametrize("name", NAMES)
def test_an_argument_wins_over_the_environment_and_that_over_the_default(name: str) -> None:
    argument, from_argument, text, from_text = SOURCES[name]
    both = read({variable(name): text or "x"}, **{name: argument})
    only_environment = read({variable(name): text or "x"})
    neither = read({variable(name): ""}) if name != "api_key" else None
    assert getattr(both, name) == from_argument
    assert getattr(only_environment, name) == from_text
    if neither is not None:
        assert getattr(neither, name) == DEFAULTS.get(name, getattr(read({}), name))


def test_nothing_given_counts_as_not_given() -> None:
    given: dict[str, Any] = {name: None for name in NAMES if name != "api_key"}
    assert read({"NOVITAI_TIMEOUT": "7"}, **given).timeout == 7.0


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVITA_API_KEY", KEY)
    monkeypatch.setenv("NOVITAI_DRAIN", "3")
    assert (Settings().api_key, Settings().drain) == (Secret(KEY), 3.0)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    found = problems(
        {"NOVITAI_TIMEOUT": "soon", "NOVITAI_WEBHOOK_ALLOW_HTTP": "perhaps"},
        api_key="",
        base_url="ftp://x",
        max_connections=0,
        colour="red",
    )
    assert found == [
        "colour is not a setting",
        "api_key must be a text of printable ASCII characters",
        "base_url must be http(s)://host, without credentials, query or fragment",
        "NOVITAI_TIMEOUT must be a number of seconds above 0, and at most a year",
        "max_connections must be a whole number, 1 or more",
        "NOVITAI_WEBHOOK_ALLOW_HTTP must be true or false",
    ]


@pytest.mark.parametrize("store", ["Memory", " memory ", "MEMORY", "memory\n"])
def test_a_store_that_means_memory_is_told_how_that_is_written(store: str) -> None:
    said = f'must be written "memory", if that is meant, and "./{store.strip()}" for a file of that name'
    assert problems(store=store) == [f"store {said}"]
    assert problems({"NOVITAI_STORE": store}) == [f"NOVITAI_STORE {said}"]


@pytest.mark.parametrize(
    "store", ["memory", "./Memory", "./memory", "Memory.db", "/var/lib/Memory"]
)
def test_memory_itself_and_paths_with_that_word_are_taken_as_they_are(store: str) -> None:
    assert read({}, store=store).store == store


def test_a_misspelt_setting_is_told_its_likely_name() -> None:
    found = problems({}, api_key=KEY, timout=3, apikey="x")
    assert found == [
        "apikey is not a setting (perhaps api_key)",
        "timout is not a setting (perhaps timeout)",
    ]


def test_a_missing_key_says_where_to_put_one() -> None:
    with pytest.raises(SettingsError, match=r"pass api_key=\.\.\. or set NOVITA_API_KEY"):
        Settings(environ={})


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("TRUE", True), (" on ", True), ("0", False), ("no", False), ("Off", False)],
)
def test_yes_and_no_go_by_many_names(text: str, value: bool) -> None:
    assert read({"NOVITAI_WEBHOOK_ALLOW_HTTP": text}).webhook_allow_http is value


def test_a_text_that_is_no_number_of_tries_is_told_as_such() -> None:
    for text in ("many", "0", "1.5"):
        assert problems({"NOVITAI_RETRY": text}) == [
            "NOVITAI_RETRY must be a number of tries, 1 or more"
        ]


def test_limit_and_circuit_can_be_switched_off_everywhere() -> None:
    off = read({}, rate_limit=None, circuit_breaker=None)
    assert (off.rate_limit, off.circuit_breaker) == (None, None)
    assert (off.but(timeout=1).rate_limit, off.but(timeout=1).circuit_breaker) == (None, None)
    assert read({}).but(rate_limit=None).rate_limit is None
    assert off.but(rate_limit=RateLimit()).rate_limit == RateLimit()
    assert read({"NOVITAI_RATE_LIMIT": "OFF"}).rate_limit is None
    assert read({"NOVITAI_RATE_LIMIT": "0"}).rate_limit is None
    assert read({"NOVITAI_RATE_LIMIT": "7"}).rate_limit == RateLimit(calls=7, burst=7)


@pytest.mark.parametrize("text", ["fast", "10/0", "1/2/3", "-1", "1.5/60", "10/nan"])
def test_a_rate_that_cannot_be_read_is_said_so(text: str) -> None:
    assert problems({"NOVITAI_RATE_LIMIT": text, "NOVITAI_CIRCUIT_BREAKER": "-1"}) == [
        'NOVITAI_RATE_LIMIT must be calls/seconds, such as 100/60, or "off"',
        'NOVITAI_CIRCUIT_BREAKER must be a number of faults, 1 or more, or "off"',
    ]
    assert problems(rate_limit=5, circuit_breaker="x") == [
        "rate_limit must be a RateLimit, or None for none",
        "circuit_breaker must be a CircuitBreaker, or None for none",
    ]


def test_a_hook_is_a_plain_function_or_several() -> None:
    async def awaited(_: object) -> None: ...

    class Awaited:
        async def __call__(self, _: object) -> None: ...

    assert read({}, on_attempt=[print, len]).on_attempt == (print, len)
    for wrong in (awaited, Awaited(), "print", [print, awaited], 5):
        assert problems(on_attempt=wrong) == [
            "on_attempt must be plain functions that take an Attempt"
        ]
    assert read({}, on_job=[print, len]).on_job == (print, len)
    assert problems(on_job=awaited) == ["on_job must be plain functions that take a JobEvent"]


# -- the base URL ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://api.novita.ai", "https://api.novita.ai"),
        ("https://api.novita.ai///", "https://api.novita.ai"),
        ("https://gateway.test/novita/", "https://gateway.test/novita"),
        ("https://h.test:8443", "https://h.test:8443"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://127.1.2.3", "http://127.1.2.3"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_a_base_url_is_scheme_and_host(given: str, kept: str) -> None:
    assert read({}, base_url=given).base_url == kept


@pytest.mark.parametrize(
    "given",
    [
        "http://api.novita.ai",
        "http://127.0.0.1.evil.test",
        "http://localhost.evil.test",
        "http://127.999.1.1",
        "http://[::2]",
        "http://10.0.0.1",
        "https://me:pass@h.test",
        "https://:pass@h.test",
        "https://h.test?x=1",
        "https://h.test?",
        "https://h.test/#x",
        "https://h.test/a b",
        "https://h.te\nst",
        "https://h.test\t",
        "https://höst.test",
        "https://h.test:port",
        "https://[::1",
        "https://",
        "//h.test",
        "h.test",
        "file:///etc/passwd",
        "",
    ],
)
def test_the_key_is_not_sent_just_anywhere(given: str) -> None:
    [problem] = problems(base_url=given)
    assert problem.startswith("base_url must be ")


@pytest.mark.parametrize("path", ["/gpu-instance/openapi/v1/", "/gpu-instance/openapi"])
def test_a_base_url_that_has_the_path_of_the_api_in_it_is_refused(path: str) -> None:
    expected = "must end before /gpu-instance: the paths of the API follow it"
    assert problems(base_url=f"https://api.novita.ai{path}") == [f"base_url {expected}"]
    told = {"NOVITAI_BASE_URL": f"https://gateway.test/novita{path}"}
    assert problems(told) == [f"NOVITAI_BASE_URL {expected}"]


def test_plain_http_goes_anywhere_only_when_it_is_allowed() -> None:
    assert problems(base_url="http://10.0.0.1") == [
        "base_url must be https, since the API key travels with every request (allow_http=True sends it all the same)"
    ]
    [problem] = problems({"NOVITAI_BASE_URL": "http://h.test"}, allow_http=False)
    assert problem.startswith("NOVITAI_BASE_URL must be https")
    assert read({}, base_url="http://10.0.0.1", allow_http=True).base_url == "http://10.0.0.1"
    assert read({}, base_url="http://h.test", allow_http=True).but(timeout=3).timeout == 3.0


# -- secrets -----------------------------------------------------------------------------------------


def test_secrets_are_masked_wherever_settings_are_shown() -> None:
    settings = read({}, api_key=KEY, webhook_secrets=[KEY])
    shown = [repr(settings), str(settings), f"{settings}", str(attrs.asdict(settings))]
    shown.append(repr(pickle.loads(pickle.dumps(settings))))
    assert KEY not in "".join(shown)
    assert settings.api_key.reveal() == KEY
    assert copy.deepcopy(settings) == settings


def test_settings_out_of_a_pickle_ask_for_their_secrets_and_take_them() -> None:
    settings = pickle.loads(pickle.dumps(read({}, api_key=KEY, webhook_secrets=[KEY], timeout=7)))
    with pytest.raises(SettingsError) as caught:
        settings.but(timeout=8)
    lost = "came out of a pickle, and a pickle does not carry secrets: give it anew"
    assert caught.value.problems == (f"api_key {lost}", f"webhook_secrets {lost}")
    again = settings.but(api_key=KEY, webhook_secrets=[KEY])
    assert (again.api_key.reveal(), again.timeout) == (KEY, 7.0)
    assert problems(api_key=settings.api_key) == [f"api_key {lost}"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_key": KEY + "\n\0"},
        {"api_key": Secret(KEY + "ü")},
        {"api_key": KEY, "timeout": -1},
        {"api_key": KEY, "webhook_secrets": [KEY, "short"]},
        {"api_key": KEY, "base_url": f"https://me:{KEY}@h.test"},
    ],
)
def test_a_wrong_setting_is_told_without_any_secret(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(environ={"NOVITA_API_KEY": KEY}, **wrong)
    assert KEY not in str(caught.value)
    assert KEY not in locals_shown(caught.value)


def test_a_change_for_the_worse_shows_no_secret_either() -> None:
    settings = read({})
    for wrong in ({"api_key": KEY, "webhook_secrets": [KEY]}, {"webhook_secrets": KEY}):
        with pytest.raises(SettingsError) as caught:
            settings.but(timeout=-1, **wrong)  # type: ignore[typeddict-item]  # read from a table
        assert KEY not in locals_shown(caught.value)


def locals_shown(error: Exception) -> str:
    """The local variables of our frames, as a report of the error would show them."""
    stack = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    own = [frame.locals for frame in stack if frame.filename.endswith("novitai_sdk/settings.py")]
    assert own
    return str(own)


# -- other settings from these -----------------------------------------------------------------------


def test_but_changes_what_is_named_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read({"NOVITAI_DRAIN": "9"}, timeout=5)
    monkeypatch.setenv("NOVITAI_SETTLE", "99")
    other = settings.but(attempt_timeout=2, base_url=None)
    assert other == attrs.evolve(settings, attempt_timeout=2.0)
    assert (other.timeout, other.attempt_timeout, other.drain) == (5.0, 2.0, 9.0)
    assert other.settle == settings.settle
    assert settings.attempt_timeout == 30.0
    with pytest.raises(SettingsError, match="timeout must be"):
        settings.but(timeout=0)
    with pytest.raises(SettingsError, match="colour is not a setting"):
        settings.but(colour="red")  # type: ignore[call-arg]  # what a typo does


def test_settings_are_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVITAI_TIMEOUT", "99")  # evolving reads nothing anew
    settings = read({})
    assert attrs.evolve(settings, timeout=7) == settings.but(timeout=7)
    assert hash(settings) == hash(read({}))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        settings.timeout = 5.0  # type: ignore[misc]  # that it is refused is the point


# -- anything at all ---------------------------------------------------------------------------------

ODD = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400), float("nan"), float("inf"), 1e300, b"", object()])
    | st.floats()
    | st.text()
    | st.binary()
    | st.builds(Secret, st.text())
    | st.sampled_from([Secret(5), Path("x"), RetryPolicy(), Settings, "127.0.0.0/99", {"a": 1}])  # type: ignore[arg-type]  # a secret that is no text
)
ANYTHING = ODD | st.lists(ODD, max_size=3) | st.tuples(ODD) | st.sets(st.integers())


@given(st.sampled_from(NAMES), ANYTHING)
def test_whatever_is_given_is_a_setting_or_a_settings_error(name: str, value: Any) -> None:
    try:
        settings = read({}, **{name: value})
    except SettingsError as error:
        wrong = error.problems
    else:
        wrong = ()
        assert settings == settings.but()
        assert attrs.evolve(settings) == settings
    assert all(name in problem or "api_key" in problem for problem in wrong)


@given(st.sampled_from(NAMES), st.text())
def test_whatever_stands_in_the_environment_is_a_setting_or_a_settings_error(
    name: str, text: str
) -> None:
    try:
        read({variable(name): text})
    except SettingsError as error:
        wrong = error.problems
    else:
        wrong = ()
    assert all(variable(name) in problem or "api_key" in problem for problem in wrong)
