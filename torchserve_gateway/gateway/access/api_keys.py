"""The file of API keys: each caller's rights and the hashes of its keys. Keys themselves are not stored.

{"mobile": {"rights": ["predict:genre"], "sha256": ["<hash of the current key>", "<hash of the one before>"]}}
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from torchserve_gateway.gateway.names import CHARACTERS

RIGHTS = ("predict", "models", "metrics")
PREDICT = "predict"
_OF_A_MODEL = re.compile(rf"{PREDICT}:{CHARACTERS}")


def is_right(value: str) -> bool:
    """Returns whether text is one of RIGHTS, or `predict:<model>`."""
    return value in RIGHTS or _OF_A_MODEL.fullmatch(value) is not None


def _checked(value: str) -> str:
    if not is_right(value):
        raise ValueError(f"{value!r} is not 'predict', 'models' or 'metrics', nor 'predict:<model>'")
    return value


Right = Annotated[str, AfterValidator(_checked)]
"""One of RIGHTS, or `predict:<model>` for one model alone."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
# The name becomes a log field and a metric label.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
CallerName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
# The current key, and the previous key until all clients have switched.
VALID_AT_ONCE = 2
# Lets scanners for leaked secrets recognize a key.
PREFIX = "tsgw_"


class KeysFileError(Exception):
    """The file of API keys cannot be read or written; the message names the file."""


class Caller(BaseModel):
    """A caller of the API."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rights: frozenset[Right]
    """Paths that the caller's keys open, and models."""
    sha256: Annotated[tuple[Sha256, ...], Field(min_length=1, max_length=VALID_AT_ONCE)]
    """Hexadecimal hashes of the valid keys, newest first."""

    def may(self, right: str, model: str | None) -> bool:
        """Returns whether the caller has a right.

        Args:
            right: One of RIGHTS.
            model: The model of the request; None for a path that is about no model.
        """
        if right in self.rights:
            return True
        if right != PREDICT:
            return False
        if model is None:
            return any(each.startswith(f"{PREDICT}:") for each in self.rights)
        return f"{PREDICT}:{model}" in self.rights


Callers = Mapping[str, Caller]
_FILE = TypeAdapter(dict[CallerName, Caller])


def new_key() -> str:
    """Returns a new key with 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def sha256(key: str) -> str:
    """Returns the key's hexadecimal hash, without salt and in one round: 2^256 keys cannot be tried."""
    return hashlib.sha256(key.encode()).hexdigest()


def caller_of(key: str, callers: Callers) -> str | None:
    """Returns the name of the key's caller, in the same time wherever the key is found, or None."""
    presented, found = sha256(key), None
    for name, caller in callers.items():
        for valid in caller.sha256:
            if hmac.compare_digest(presented, valid):
                found = name
    return found


def read_callers(path: Path) -> Callers:
    """Reads the file.

    Raises:
        KeysFileError: The file is unreadable or invalid.
    """
    try:
        return _FILE.validate_json(path.read_bytes())
    except OSError as exc:
        raise KeysFileError(f"{path}: {exc.strerror}; make api_key writes it") from exc
    except ValidationError as exc:
        error = exc.errors(include_url=False)[0]
        place = ".".join(map(str, error["loc"]))
        raise KeysFileError(f"{path}: {place}{': ' if place else ''}{error['msg']}") from exc


def write_callers(path: Path, callers: Callers) -> None:
    """Replaces the file atomically, with mode 0600.

    Raises:
        KeysFileError: The file cannot be written.
    """
    # A random name cannot have been taken by another user's file or link.
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        part.touch(mode=0o600, exist_ok=False)
        part.write_bytes(_FILE.dump_json(dict(callers), indent=1) + b"\n")
        part.replace(path)
    except OSError as exc:
        raise KeysFileError(f"{path}: {exc.strerror}") from exc
    finally:
        part.unlink(missing_ok=True)
