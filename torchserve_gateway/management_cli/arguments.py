"""Arguments of several commands. Options for TorchServe's parameters are named like these."""

import re
from typing import Annotated

import typer

from torchserve_gateway.settings.model import NAME_PATTERN


def _not_empty(value: str | None) -> str | None:
    # An empty shell variable must not mean the default version, or all models.
    if value == "":
        raise typer.BadParameter("it is empty")
    return value


def _removable(model_name: str) -> str:
    if not re.fullmatch(NAME_PATTERN, model_name):
        raise typer.BadParameter(
            f"{model_name!r} is not of letters, digits, '_', '.', '-' behind a letter or digit; "
            "TorchServe takes some other names and can never unregister them"
        )
    return model_name


Model = Annotated[str, typer.Argument(callback=_not_empty, help="Name under which it is registered.")]
NewModelName = Annotated[
    str, typer.Option(callback=_removable, help="Name in /predictions/NAME; the archive's own is not used.")
]
Version = Annotated[str, typer.Argument(callback=_not_empty)]
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
    typer.Option("--set", metavar="KEY=VALUE", help="Hydra override of config/gateway.yaml; repeatable."),
]
