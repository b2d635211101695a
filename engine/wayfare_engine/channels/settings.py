"""A plugin's settings from files: its config as JSON, and a folder with one file a secret, as
Kubernetes mounts a Secret."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from wayfare_engine.channels.plugin import BadConfig, Settings

_LONGEST_CONFIG = 1024 * 1024
_LONGEST_SECRET = 64 * 1024
_MOST_SECRETS = 64


def read_settings(
    config: Path | None, secrets: Path | None, required: Sequence[str] = ()
) -> Settings:
    """What the files hold. Raises BadConfig, which names a file and never quotes one; for a secret
    of `required` that is not there as well."""
    found = Settings(
        config={} if config is None else _config(config),
        secrets={} if secrets is None else _secrets(secrets),
    )
    for name in required:
        if name not in found.secrets:
            raise BadConfig(f"secret {name} is missing: there is no such Secret, or no such key")
    return found


def _config(file: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(_bytes(file, _LONGEST_CONFIG), type=dict[str, Any])
    except msgspec.ValidationError:
        raise BadConfig(f"{file}: the config is a JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadConfig(f"{file}: not JSON: {error}") from None


def _secrets(folder: Path) -> dict[str, str]:
    try:
        # Kubernetes keeps the mounted versions beside the names, under names with a dot.
        files = sorted(f for f in folder.iterdir() if not f.name.startswith(".") and f.is_file())
    except OSError as error:
        raise BadConfig(f"{folder}: {error.strerror}") from None
    if len(files) > _MOST_SECRETS:
        raise BadConfig(f"{folder}: {len(files)} files; at most {_MOST_SECRETS} are secrets")
    return {file.name: _secret(file) for file in files}


def _secret(file: Path) -> str:
    try:
        text = _bytes(file, _LONGEST_SECRET).decode()
    except UnicodeDecodeError:
        raise BadConfig(f"{file}: a secret is UTF-8 text") from None
    # An editor's newline at the end is not meant.
    return text.removesuffix("\n").removesuffix("\r")


def _bytes(file: Path, most: int) -> bytes:
    try:
        with file.open("rb") as opened:
            found = opened.read(most + 1)
    except OSError as error:
        raise BadConfig(f"{file}: {error.strerror}") from None
    if len(found) > most:
        raise BadConfig(f"{file}: more than {most} bytes")
    return found
