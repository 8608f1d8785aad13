"""Arguments of several commands. Options have the names of TorchServe's parameters."""

import re
from typing import Annotated

import typer

from torchserve_gateway.settings.model_parts.names import NAME_PATTERN


def _not_empty(value: str | None) -> str | None:
    # An empty shell variable must not mean the default version, or all models.
    if value == "":
        raise typer.BadParameter("it is empty")
    return value


def _required(value: str) -> str:
    if "=" in value:
        raise typer.BadParameter(f"it is missing, {value!r} is a setting")
    _not_empty(value)
    return value


def _removable(model_name: str) -> str:
    if not re.fullmatch(NAME_PATTERN, model_name):
        raise typer.BadParameter(
            f"{model_name!r} is not of letters, digits, '_', '.', '-' behind a letter or digit; "
            "TorchServe takes some other names and can never unregister them"
        )
    return model_name


Model = Annotated[str, typer.Argument(callback=_required, help="Name under which it is registered.")]
NewModelName = Annotated[
    str, typer.Option(callback=_removable, help="Name in /predictions/NAME; the archive's own is not used.")
]
Version = Annotated[str, typer.Argument(callback=_required)]
VersionOrDefault = Annotated[
    str | None, typer.Argument(callback=_not_empty, help="Without it: the default version.")
]
Synchronous = Annotated[
    bool,
    typer.Option(
        help="Answer when the workers are READY. Until then TorchServe holds a thread that predictions "
        "need, so some of them stall; --wait has no such effect."
    ),
]
Wait = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", min=0, help="Ask until the workers are READY; fail after SECONDS."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        show_default=False,
        help="Hydra override of config/gateway.yaml: torchserve.management_url=http://127.0.0.1:9081",
    ),
]


def version_and_overrides(
    version: str | None, overrides: list[str] | None
) -> tuple[str | None, list[str] | None]:
    """Tells an optional version from the first Hydra override: no version has a `=` or begins with `~`."""
    if version is not None and ("=" in version or version.startswith("~")):
        return None, [version, *(overrides or [])]
    return version, overrides
