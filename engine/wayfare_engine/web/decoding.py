"""What is wrong with a body of JSON, as a problem with its place."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from wayfare_engine.web.problems import FieldError, Problem

#: What decoding may raise for bytes that anybody can send, beside msgspec.ValidationError.
MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)
T = TypeVar("T")
_PLACE = re.compile(r"(?P<message>.*) - at `(?P<path>[^`]*)`\Z", re.DOTALL)


def decoded(decoder: msgspec.json.Decoder[T], raw: bytes) -> T:
    """A body in the decoder's shape.

    Raises Problem: 400 for what is no JSON, 422 with the place for what is of another shape.
    """
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise wrong_types(error) from None
    except MALFORMED as error:
        raise malformed(error) from None


def wrong_types(error: msgspec.ValidationError, inside: str = "$") -> Problem:
    """422: JSON of another shape. `inside` is where the value stands that was decoded."""
    found = _PLACE.match(str(error))
    message, path = (found["message"], found["path"]) if found else (str(error), "$")
    return wrong_field(inside + path.removeprefix("$"), message)


def wrong_field(path: str, message: str) -> Problem:
    """422: one field of the request."""
    return Problem(
        422, "wrong-types", "the request has fields that are wrong", (FieldError(path, message),)
    )


def malformed(error: Exception) -> Problem:
    """400: no JSON."""
    if isinstance(error, RecursionError):
        return Problem(400, "malformed-json", "the JSON is nested too deeply")
    return Problem(400, "malformed-json", f"the body is not JSON: {error}")
