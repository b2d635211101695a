"""Master keys: they wrap the customers' keys, and are in no database and in no object store."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wayfare_engine.errors import MISSING, SaidToPeople

KEY_BYTES, NONCE_BYTES, NAME_BYTES = 32, 12, 8


@dataclass(eq=False)
class MasterKeyProblem(SaidToPeople):
    """The file cannot be used. Its text never has any of the file's content."""

    exit_code = MISSING

    path: Path
    problem: str

    def __str__(self) -> str:
        return (
            f"master keys in {self.path}: {self.problem}; each line is 32 random bytes in base64, "
            "for example: head -c 32 /dev/urandom | base64"
        )


@dataclass(eq=False)
class NoMasterKey(SaidToPeople):
    """Something is sensitive and there is no master key, or not the one that wrapped the key."""

    exit_code = MISSING

    name: str | None = None

    def __str__(self) -> str:
        if self.name is None:
            return (
                "sensitive fields need a master key: set WAYFARE_MASTER_KEY_FILE to a file with 32 "
                "random bytes in base64, the same at both sites"
            )
        return (
            f"a customer's key is wrapped by master key {self.name}, which is not in the file of "
            "WAYFARE_MASTER_KEY_FILE; add it below the present one"
        )


class MasterKeys:
    """The first wraps, all unwrap: a new key goes on top, and old ones stay for what they wrapped.

    A wrapped key is the master's name (8 bytes of its SHA-256), a nonce (12) and the ciphertext
    (48), bound to the key's id.
    """

    def __init__(self, keys: list[bytes], *, random: Callable[[int], bytes]) -> None:
        """`keys` of 32 bytes, at least one; `random(n)` gives n unpredictable bytes."""
        self._ciphers = {_name(key): AESGCM(key) for key in keys}
        self._present = _name(keys[0])
        self._random = random

    @classmethod
    def read(cls, path: Path, *, random: Callable[[int], bytes]) -> MasterKeys:
        """From a file. Raises MasterKeyProblem."""
        try:
            lines = path.read_text("ascii").split()
        except OSError as error:
            raise MasterKeyProblem(path, str(error.strerror)) from None
        except UnicodeDecodeError:
            raise MasterKeyProblem(path, "it has bytes that are no text") from None
        if not lines:
            raise MasterKeyProblem(path, "it is empty")
        keys = []
        for number, line in enumerate(lines, 1):
            try:
                key = base64.b64decode(line, validate=True)
            except binascii.Error:
                raise MasterKeyProblem(path, f"key {number} is not base64") from None
            if len(key) != KEY_BYTES:
                raise MasterKeyProblem(path, f"key {number} has {len(key)} bytes, not 32")
            keys.append(key)
        return cls(keys, random=random)

    @property
    def present(self) -> str:
        """The name of the key that wraps, in hexadecimals."""
        return self._present.hex()

    def random(self, count: int) -> bytes:
        """Unpredictable bytes."""
        return self._random(count)

    def wrap(self, kid: bytes, key: bytes) -> bytes:
        """A customer's key for the key table."""
        nonce = self._random(NONCE_BYTES)
        sealed = self._ciphers[self._present].encrypt(nonce, key, kid)
        return self._present + nonce + sealed

    def unwrap(self, kid: bytes, wrapped: bytes) -> bytes:
        """The key itself. Raises NoMasterKey, also when the row belongs to another key's id."""
        name, rest = wrapped[:NAME_BYTES], wrapped[NAME_BYTES:]
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise NoMasterKey(name.hex())
        try:
            return cipher.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], kid)
        except InvalidTag:
            raise NoMasterKey(name.hex()) from None


def _name(key: bytes) -> bytes:
    return hashlib.sha256(b"wayfare master key\0" + key).digest()[:NAME_BYTES]
