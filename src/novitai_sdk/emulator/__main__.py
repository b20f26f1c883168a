"""``python -m novitai_sdk.emulator``: a Novita GPU cloud on this machine, until Ctrl-C."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from . import Emulator
from ._emulator import DEFAULT_KEY


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit status."""
    asked = _parser().parse_args(arguments)
    # SIGTERM ends it as Ctrl-C does. Raising is the one thing a handler may safely do: setting an event from it
    # can meet the lock of the very wait it interrupts.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Emulator(
            life=asked.life, host=asked.host, port=asked.port, api_key=asked.key
        ) as cloud:
            sys.stdout.write(f"base_url={cloud.base_url}\napi_key={cloud.api_key}\n")
            sys.stdout.flush()
            threading.Event().wait()
    except KeyboardInterrupt:
        return 0
    except (OSError, OverflowError, ValueError) as error:
        sys.stderr.write(f"cannot serve on {asked.host}:{asked.port}: {error}\n")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m novitai_sdk.emulator",
        description="A Novita GPU cloud on this machine, until Ctrl-C.",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="loopback address to serve on (%(default)s)"
    )
    parser.add_argument(
        "--port", type=int, default=0, help="port to serve on; 0, the default, is a free one"
    )
    parser.add_argument(
        "--life",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="from create to running (%(default)s)",
    )
    parser.add_argument("--key", default=DEFAULT_KEY, help="the API key it accepts (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
