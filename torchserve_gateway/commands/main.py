"""The installed command, `torchserve-gateway`; make targets run it as `python -m torchserve_gateway`.

Every subcommand takes Hydra overrides, KEY=VALUE, behind its own arguments.
"""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from torchserve_gateway.commands.subcommands import by_hand, deploying, measuring, own_model, stack
from torchserve_gateway.version import __version__

PARTS = (own_model, stack, deploying, measuring, by_hand)

GROUPS = ("manage", "grpc", "key")


class LazyGroup(TyperGroup):
    """Replaces a command of GROUPS by the app that its function returns, when it is called or completed."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The name, the command and its arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in GROUPS and command is not None and command.callback:
            command = typer.main.get_command(command.callback())
        return name, command, rest


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Settings are Hydra's. Files in config/ of the folder where the command is called win over those "
    "of the package, KEY=VALUE over both; `config` prints the result. State goes to var/ in that folder.\n\n"
    "Example: torchserve-gateway up gateway.port=6003 && torchserve-gateway deploy gateway.port=6003",
)


@app.callback(invoke_without_command=True)
def root(
    *,
    version: Annotated[bool, typer.Option("--version", help="Prints the version.", is_eager=True)] = False,
) -> None:
    """Serves TorchScript models with TorchServe behind a gateway.

    Exit codes: 0 done; 1 failed, and the versions that served before still serve; 2 wrong usage or settings;
    130 interrupted by Ctrl-C, and what was begun is undone.
    """
    if version:
        print(__version__)
        raise typer.Exit


for part in PARTS:
    app.add_typer(part.app)
