"""``python -m novitai_sdk.emulator`` as somebody at a prompt meets it."""

import signal
import subprocess
import sys

import httpx
import pytest

from novitai_sdk.emulator.__main__ import main

COMMAND = [sys.executable, "-W", "error", "-m", "novitai_sdk.emulator"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_serves_and_stops_cleanly(how: signal.Signals) -> None:
    with subprocess.Popen(
        [*COMMAND, "--life", "5", "--key", "k-1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            base_url = process.stdout.readline().strip().removeprefix("base_url=")
            key = process.stdout.readline().strip().removeprefix("api_key=")
            assert key == "k-1"
            reply = httpx.get(
                f"{base_url}/gpu-instance/openapi/v1/clusters",
                headers={"Authorization": f"Bearer {key}"},
                trust_env=False,
            )
            assert reply.status_code == 200
            process.send_signal(how)
            assert process.wait(10) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""
        finally:
            process.kill()


@pytest.mark.parametrize(
    "arguments", [["--host", "0.0.0.0"], ["--port", "99999"], ["--life", "-1"], ["--life", "nan"]]
)
def test_what_it_cannot_do_it_says(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    try:
        assert main(arguments) == 1
    finally:
        signal.signal(signal.SIGINT, handlers[0])
        signal.signal(signal.SIGTERM, handlers[1])
    assert "cannot serve" in capsys.readouterr().err
