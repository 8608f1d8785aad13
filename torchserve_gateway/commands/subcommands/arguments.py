"""Arguments and the end that all subcommands share."""

from typing import Annotated, NoReturn

import typer

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", show_default=False, help="Hydra override: gateway.port=6003"),
]

AsJson = Annotated[bool, typer.Option("--json", help="Prints JSON, for a script.")]


def finish(code: int) -> NoReturn:
    """Ends the command with its exit code."""
    raise typer.Exit(code)
