"""API keys for tests."""

from pathlib import Path

from torchserve_gateway.gateway.access.api_keys import RIGHTS, Caller, new_key, sha256, write_callers

EVERYTHING = RIGHTS


def write_keys(file: Path, **rights: tuple[str, ...]) -> dict[str, str]:
    """Writes a file with one new key for each caller and returns the keys."""
    keys = {name: new_key() for name in rights}
    callers = {
        name: Caller(rights=frozenset(rights[name]), sha256=(sha256(key),)) for name, key in keys.items()
    }
    write_callers(file, callers)
    return keys


def bearer(key: str) -> dict[str, str]:
    """The header with a key."""
    return {"Authorization": f"Bearer {key}"}


def with_keys(file: Path) -> tuple[str, str, str]:
    """Overrides for a gateway that wants keys, and sees a change of the file at once."""
    return "gateway.auth.enabled=true", f"gateway.auth.keys_file={file}", "gateway.auth.refresh_s=0.02"
