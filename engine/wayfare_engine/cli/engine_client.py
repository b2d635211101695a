"""Asking a serving pod's API from the command line; what goes wrong is a sentence."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wayfare_engine.errors import FAILED, MISSING, USAGE, SaidToPeople

if TYPE_CHECKING:
    import httpx

Url = Annotated[
    str,
    typer.Option(
        "--url", envvar="WAYFARE_ENGINE_URL", help="The engine, such as http://127.0.0.1:8080."
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file", help="A file with an API key; none where the engine asks for none."
    ),
]


@dataclass(eq=False)
class NotAnswered(SaidToPeople):
    """The engine, or a host, did not do what was asked."""

    what: str
    exit_code = FAILED

    def __str__(self) -> str:
        return self.what


@dataclass(eq=False)
class NoKey(SaidToPeople):
    """The key's file cannot be read."""

    path: Path
    reason: str
    exit_code = MISSING

    def __str__(self) -> str:
        return f"--api-key-file {self.path}: {self.reason}"


@dataclass(eq=False)
class NoObject(SaidToPeople):
    """An option that is to be a JSON object."""

    option: str
    exit_code = USAGE

    def __str__(self) -> str:
        return f'{self.option} is a JSON object, such as \'{{"title": "Hello"}}\''


def json_object(option: str, text: str) -> dict[str, Any]:
    """The option's value. Raises NoObject."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise NoObject(option)
    return found


class EngineClient:
    """One address, with a key. Raises NoKey, and NotAnswered from each call."""

    def __init__(self, url: str, key_file: Path | None = None) -> None:
        import httpx

        headers = {}
        if key_file is not None:
            try:
                headers["Authorization"] = f"Bearer {key_file.read_text().strip()}"
            except (OSError, UnicodeDecodeError) as error:
                raise NoKey(key_file, getattr(error, "strerror", "") or "is no text") from None
        self._url = url.rstrip("/")
        self._client = httpx.Client(headers=headers, timeout=30, trust_env=False)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def post(self, path: str, body: Any) -> dict[str, Any]:
        """The answer's JSON."""
        return self._ask("POST", path, json=body)

    def get(self, path: str) -> dict[str, Any]:
        """The answer's JSON."""
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        import httpx

        try:
            answer = self._client.request(method, self._url + path, **given)
        except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            reason = str(error) or type(error).__name__
            raise NotAnswered(f"{self._url} cannot be reached: {reason}") from None
        if answer.status_code != 200:
            raise NotAnswered(f"{self._url}{path}: {_told(answer)}")
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise NotAnswered(f"{self._url}{path} answers with no JSON object: is it Wayfare's?")
        return found


def _told(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        places = [f"{e['path']}: {e['message']}" for e in problem.get("errors", ())]
        return f"{answer.status_code} {'; '.join(places) or problem['detail']}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{answer.status_code} {answer.reason_phrase}"
