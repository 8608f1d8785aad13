"""Subcommands for single calls, keys and settings."""

from typing import Annotated

import typer

from torchserve_gateway.commands.subcommands.arguments import Overrides, finish

app = typer.Typer()


@app.command()
def config(
    root_file: Annotated[
        str, typer.Argument(metavar="ROOT", help="A root file in config/: stack, gateway, upload ...")
    ],
    overrides: Overrides = None,
) -> None:
    """Prints the composed configuration.

    Example: torchserve-gateway config upload strategy=canary
    """
    from torchserve_gateway.settings.command import exit_code
    from torchserve_gateway.settings.composition import compose_yaml

    finish(exit_code(lambda: print(compose_yaml(root_file, overrides or []), end=""), ()))


@app.command()
def key() -> typer.Typer:
    """Makes, rotates and revokes API keys."""
    from torchserve_gateway.commands.api_key import app as api_key

    return api_key


@app.command()
def manage() -> typer.Typer:
    """Calls TorchServe's Management API by hand."""
    from torchserve_gateway.management_cli.commands import app as management

    return management


@app.command()
def grpc() -> typer.Typer:
    """Calls TorchServe over gRPC by hand."""
    from torchserve_gateway.commands.grpc import app as grpc_calls

    return grpc_calls
