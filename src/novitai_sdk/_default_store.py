"""Where the jobs of an account are kept if nobody says where."""

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from .errors import SettingsError
from .settings import Settings

__all__ = ["default_store"]


def default_store(
    settings: Settings,
    *,
    platform: str = sys.platform,
    environ: Mapping[str, str] = os.environ,
) -> Path:
    """Return the file of this account: named by base URL and key, so that two accounts never mix.

    Raises SettingsError where no directory of the user is known.
    """
    account = f"{settings.base_url}\n{settings.api_key.reveal()}".encode()
    name = hashlib.sha256(account).hexdigest()[:16]
    return _state_directory(platform, environ) / "novitai_sdk" / f"{name}.sqlite3"


def _state_directory(platform: str, environ: Mapping[str, str]) -> Path:
    try:
        if platform == "win32":
            return Path(environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        if platform == "darwin":
            return Path.home() / "Library" / "Application Support"
        told = Path(environ.get("XDG_STATE_HOME", ""))
        # A relative path there is to be ignored, says the specification of that variable.
        return told if told.is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise SettingsError(
            [f"store must be given, since no home directory is known ({error}): pass store=..."]
        ) from error
