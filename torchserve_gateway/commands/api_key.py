"""`make api_key`: makes, rotates and revokes API keys.

A new key is printed once, alone on stdout; messages go to stderr. Exit codes: 0 done; 1 failed;
2 bad usage or configuration.
"""

import re
import sys
from enum import StrEnum
from typing import Annotated

import typer

from torchserve_gateway.gateway.access.api_keys import (
    NAME_PATTERN,
    PREDICT,
    RIGHTS,
    VALID_AT_ONCE,
    Caller,
    KeysFileError,
    is_right,
    new_key,
    read_callers,
    sha256,
    write_callers,
)
from torchserve_gateway.settings.command import exit_code
from torchserve_gateway.settings.composition import load
from torchserve_gateway.settings.project import ProjectSettings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


SHOWN_RIGHTS = f"{','.join(RIGHTS)},{PREDICT}:<model>"


class Revoked(StrEnum):
    """Keys to revoke: all but the newest, or all."""

    OLD = "old"
    ALL = "all"


def _name(value: str) -> str:
    if not re.fullmatch(NAME_PATTERN, value):
        raise typer.BadParameter(f"{value!r} is not of at most 64 letters, digits, '_', '.', '-'")
    return value


def _rights(value: str | None) -> frozenset[str] | None:
    if value is None:
        return None
    named = value.split(",")
    if len(set(named)) != len(named) or not all(map(is_right, named)):
        raise typer.BadParameter(f"{value!r} is not some of {SHOWN_RIGHTS}, with a comma between them")
    return frozenset(named)


@app.command()
def api_key(
    name: Annotated[str, typer.Argument(callback=_name, help="The caller, as logs and metrics name it.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE", show_default=False, help="Hydra override of config/gateway.yaml."
        ),
    ] = None,
    *,
    rights: Annotated[
        str | None,
        typer.Option(help=f"Some of {SHOWN_RIGHTS}; without it a new caller may predict."),
    ] = None,
    revoke: Annotated[Revoked | None, typer.Option(help="Makes no key.")] = None,
) -> None:
    """Makes a key for a caller.

    A caller's newest two keys are valid, so that it can change over; --revoke old ends the older.

    Settings: gateway.auth of config/gateway.yaml.

    Example: torchserve-gateway key app --rights predict,models
    """
    allowed = _rights(rights)

    def change() -> None:
        path = load("gateway", ProjectSettings, overrides or []).gateway.auth.keys_file
        callers = dict(read_callers(path)) if path.exists() else {}
        if revoke:
            _revoke(callers, name, revoke)
            write_callers(path, callers)
            return
        key = new_key()
        callers[name] = _with_key(callers.get(name), key, allowed)
        write_callers(path, callers)
        print(
            f"{name} may {', '.join(sorted(callers[name].rights))}; {_validity(callers[name])}",
            file=sys.stderr,
        )
        print(key)

    raise typer.Exit(exit_code(change, (KeysFileError,)))


def _with_key(caller: Caller | None, key: str, rights: frozenset[str] | None) -> Caller:
    if caller is None:
        return Caller(rights=rights or frozenset({"predict"}), sha256=(sha256(key),))
    valid = (sha256(key), *caller.sha256)[:VALID_AT_ONCE]
    return Caller(rights=rights or caller.rights, sha256=valid)


def _revoke(callers: dict[str, Caller], name: str, revoked: Revoked) -> None:
    if name not in callers:
        raise KeysFileError(f"there is no key of {name}; there are those of {', '.join(callers) or 'nobody'}")
    caller = callers.pop(name)
    if revoked is Revoked.OLD:
        callers[name] = Caller(rights=caller.rights, sha256=caller.sha256[:1])


def _validity(caller: Caller) -> str:
    if len(caller.sha256) == 1:
        return "this is the only valid key:"
    return "this key and the one before it are valid:"
