"""HTTP/2, where it is asked for and the server offers it."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest

from novitai_sdk import SettingsError
from novitai_sdk._transport import Request, _awaiting, _blocking, _wires
from novitai_sdk.settings import Settings

TLS = Path(__file__).parent / "tls"


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's side of TLS that offers both versions, trusted by the transport."""
    trusts = {
        flag: ssl.create_default_context(cafile=str(TLS / "cert.pem")) for flag in (True, False)
    }
    monkeypatch.setattr(_wires, "_trust", lambda http2=False: trusts[http2])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    server.set_alpn_protocols(["h2", "http/1.1"])
    return server


class Speaker:
    """The server's end of one connection, in the version that was agreed."""

    def __init__(self, context: ssl.SSLContext, then: Callable[[Any, Any], bool]) -> None:
        self.context = context
        self.then = then
        self.versions: list[str | None] = []
        self.seen: list[tuple[dict[str, str], bytes]] = []

    def __call__(self, visit: Any) -> None:
        try:
            visit.wrap(self.context)
        except OSError:
            return
        wire = visit._connection
        self.versions.append(wire.selected_alpn_protocol())
        if self.versions[-1] == "h2":
            self.speak(wire)
        else:
            while visit.request() is not None:
                visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")

    def speak(self, wire: Any) -> None:
        talk = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        talk.initiate_connection()
        wire.sendall(talk.data_to_send())
        headers: dict[int, dict[str, str]] = {}
        bodies: dict[int, bytes] = {}
        while True:
            try:
                data = wire.recv(65_536)
            except OSError:
                return
            if not data:
                return
            for event in talk.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    headers[event.stream_id] = {
                        name.decode(): text.decode() for name, text in event.headers
                    }
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                elif isinstance(event, h2.events.StreamEnded):
                    number = event.stream_id
                    self.seen.append((headers[number], bodies.get(number, b"")))
                    talk.send_headers(number, [(":status", "200"), ("x-who", "h2")])
                    talk.send_data(number, b"two", end_stream=True)
                    wire.sendall(talk.data_to_send())
                    if not self.then(talk, wire):
                        return
            wire.sendall(talk.data_to_send())


def go_on(talk: Any, wire: Any) -> bool:
    return True


def hang_up(talk: Any, wire: Any) -> bool:
    talk.close_connection()
    wire.sendall(talk.data_to_send())
    return False


def post(url: str) -> Request:
    return Request(
        method="POST", url=url, content=b"{}", headers={"Authorization": "Bearer k"}, timeout=5.0
    )


def test_several_requests_share_a_connection(ask: Any, serve: Any, context: Any) -> None:
    speaker = Speaker(context, go_on)
    server = serve(speaker)
    url = f"https://127.0.0.1:{server.port}/a?b=c"
    found = ask(post(url), post(url), url, http2=True)
    assert [(one.status, one.body, one.headers) for one in found] == [
        (200, b"two", {"x-who": "h2"})
    ] * 3
    assert speaker.versions == ["h2"]
    headers, body = speaker.seen[0]
    assert (headers[":method"], headers[":path"], body) == ("POST", "/a?b=c", b"{}")
    assert (headers[":authority"], headers["authorization"]) == (
        f"127.0.0.1:{server.port}",
        "Bearer k",
    )
    assert server.settles_at(0)


def test_a_connection_the_server_took_leave_of_is_noticed_before_the_next_request(
    ask: Any, serve: Any, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaker = Speaker(context, hang_up)
    server = serve(speaker)

    def when_it_has(*arguments: Any) -> bool:
        return server.settles_at(0) and _wires.fits(*arguments)

    for module in (_awaiting, _blocking):
        monkeypatch.setattr(module, "fits", when_it_has)
    url = f"https://127.0.0.1:{server.port}/"
    found = ask(*[post(url)] * 4, http2=True)
    assert [one.body for one in found] == [b"two"] * 4
    assert speaker.versions == ["h2"] * 4


def test_a_server_that_does_not_offer_it_is_spoken_to_in_the_older_one(
    ask: Any, serve: Any, context: Any
) -> None:
    context.set_alpn_protocols(["http/1.1"])
    speaker = Speaker(context, go_on)
    url = f"https://127.0.0.1:{serve(speaker).port}/"
    assert [one.body for one in ask(url, url, http2=True)] == [b"one", b"one"]
    assert speaker.versions == ["http/1.1"]


def test_it_is_not_offered_unless_asked_for(ask: Any, serve: Any, context: Any) -> None:
    speaker = Speaker(context, go_on)
    url = f"https://127.0.0.1:{serve(speaker).port}/"
    assert ask.one(url, http2=True).body == b"two"
    assert ask.one(url).body == b"one"
    assert speaker.versions == ["h2", "http/1.1"]


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        SettingsError, match=r"http2 needs the package h2: pip install 'novitai-sdk\[http2\]'"
    ):
        Settings(environ={}, api_key="k", http2=True)
    assert Settings(environ={}, api_key="k", http2=False).http2 is False
