"""The file of API keys: who may do what, and a hash of each key; the keys themselves are kept nowhere.

{"mobile": {"rights": ["predict"], "sha256": ["<of the key in use>", "<of the one before it>"]}}
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

Right = Literal["predict", "models", "metrics"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
# It becomes a field of log lines and a label of metrics.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
CallerName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
# One in use, and the one before it until all callers have the new one.
VALID_AT_ONCE = 2
# So that scanners for leaked secrets can be told what to look for.
PREFIX = "tsgw_"


class KeysFileError(Exception):
    """The file of API keys cannot be read or written; the message names it."""


class Caller(BaseModel):
    """sha256: hashes of the valid keys as hexadecimal digits, the newest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rights: frozenset[Right]
    sha256: Annotated[tuple[Sha256, ...], Field(min_length=1, max_length=VALID_AT_ONCE)]


Callers = Mapping[str, Caller]
_FILE = TypeAdapter(dict[CallerName, Caller])


def new_key() -> str:
    """A key that nobody guesses: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def sha256(key: str) -> str:
    """Its hash, as hexadecimal digits. Without salt and in one round: nobody can try 2^256 keys."""
    return hashlib.sha256(key.encode()).hexdigest()


def caller_of(key: str, callers: Callers) -> str | None:
    """Whose key it is; takes the same time whether and where it is found."""
    presented, found = sha256(key), None
    for name, caller in callers.items():
        for valid in caller.sha256:
            if hmac.compare_digest(presented, valid):
                found = name
    return found


def read_callers(path: Path) -> Callers:
    """What the file says now.

    Raises:
        KeysFileError: it cannot be read, or is not as it must be.
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
    """Replaces the file as a whole, for its owner alone to read.

    Raises:
        KeysFileError: it cannot be written.
    """
    # Random: nobody can have put a file or a link of that name there.
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        part.touch(mode=0o600, exist_ok=False)
        part.write_bytes(_FILE.dump_json(dict(callers), indent=1) + b"\n")
        part.replace(path)
    except OSError as exc:
        raise KeysFileError(f"{path}: {exc.strerror}") from exc
    finally:
        part.unlink(missing_ok=True)
