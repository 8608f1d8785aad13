"""`make grpc`: TorchServe over gRPC on the command line.

Exit codes: 0 done; 1 failed, one line on stderr says why; 2 bad usage or configuration.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from torchserve_gateway.management_cli.arguments import (
    Model,
    NewModelName,
    Overrides,
    Version,
    VersionOrDefault,
    version_and_overrides,
)
from torchserve_gateway.settings.command import exit_code
from torchserve_gateway.settings.composition import load
from torchserve_gateway.settings.project import ProjectSettings
from torchserve_gateway.torchserve_api.errors import TorchServeError
from torchserve_gateway.torchserve_api.grpc.client import GrpcClient
from torchserve_gateway.torchserve_api.http_pool import PooledTransport
from torchserve_gateway.torchserve_api.tokens import Tokens

app = typer.Typer(
    help="Calls TorchServe over gRPC, past the gateway.",
    epilog="Settings: config/gateway.yaml. Example: torchserve-gateway grpc infer genre imgs/horror.jpg",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Timeout = Annotated[float, typer.Option(min=0.001, help="Seconds the call may take.")]
ByVersion = Annotated[str | None, typer.Option(help="Without it: the default version.")]
Count = Annotated[int, typer.Option(min=1)]


class GrpcCommandError(Exception):
    """The command failed before anything was sent."""


@app.command()
def ping(timeout: Timeout = 10, overrides: Overrides = None) -> None:
    """Prints TorchServe's health."""
    _run(lambda client: client.ping(timeout), overrides)


@app.command()
def infer(
    model: Model,
    image: Annotated[Path, typer.Argument(help="File with the image.")],
    version: ByVersion = None,
    *,
    stream: Annotated[bool, typer.Option(help="Print the parts of the answer as they come.")] = False,
    timeout: Timeout = 30,
    overrides: Overrides = None,
) -> None:
    """Predicts one image and prints the handler's answer."""

    async def operation(client: GrpcClient) -> str:
        encoded = _read(image)
        if not stream:
            return (await client.predict(model, version, encoded, timeout)).decode(errors="replace")
        async for part in client.stream_predictions(model, version, encoded, timeout):
            print(part.decode(errors="replace"), end="", flush=True)
        return ""

    _run(operation, overrides)


@app.command()
def register(
    url: Annotated[str, typer.Argument(help="Archive in TorchServe's model store, or an address.")],
    model_name: NewModelName,
    initial_workers: Count = 1,
    batch_size: Count = 1,
    max_batch_delay: Annotated[int, typer.Option(min=1, help="Milliseconds.")] = 100,
    timeout: Timeout = 120,
    overrides: Overrides = None,
) -> None:
    """Registers an archive; its workers are still starting when this returns."""
    parameters = {
        "initial_workers": initial_workers,
        "batch_size": batch_size,
        "max_batch_delay": max_batch_delay,
    }
    _run(lambda client: client.register(model_name, url, timeout, **parameters), overrides)


@app.command()
def set_default(model: Model, version: Version, timeout: Timeout = 10, overrides: Overrides = None) -> None:
    """Sends requests that name no version to this one."""
    _run(lambda client: client.set_default(model, version, timeout), overrides)


@app.command()
def unregister(
    model: Model, version: VersionOrDefault = None, timeout: Timeout = 10, overrides: Overrides = None
) -> None:
    """Removes a version; requests in it get no answer."""
    version, overrides = version_and_overrides(version, overrides)
    _run(lambda client: client.unregister(model, version, timeout), overrides)


def _run(operation: Callable[[GrpcClient], Awaitable[str]], overrides: list[str] | None) -> NoReturn:
    def call_and_print() -> None:
        settings = load("gateway", ProjectSettings, overrides or []).torchserve

        async def call() -> str:
            async with PooledTransport() as http:
                tokens = Tokens(settings.key_file, settings.management_url, http)
                async with GrpcClient(settings, tokens) as client:
                    return await operation(client)

        print(asyncio.run(call()))

    raise typer.Exit(exit_code(call_and_print, (TorchServeError, GrpcCommandError)))


def _read(image: Path) -> bytes:
    try:
        return image.read_bytes()
    except OSError as exc:
        raise GrpcCommandError(f"the image cannot be read: {exc}") from exc
