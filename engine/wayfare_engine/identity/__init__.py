"""API keys: made, kept as hashes, checked in memory."""

from wayfare_engine.identity.authenticator import Authenticator
from wayfare_engine.identity.keys import ApiKey, KeyFormatError, NewKey, Scope, new_key, parse

__all__ = [
    "ApiKey",
    "Authenticator",
    "KeyFormatError",
    "NewKey",
    "Scope",
    "new_key",
    "parse",
]
