"""Runs a command: connects, calls, prints the result, ends with the exit code."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

import typer
from rich.console import RenderableType

from torchserve_gateway.management_cli.failures import reason
from torchserve_gateway.settings.command import exit_code, log_to_stderr
from torchserve_gateway.settings.composition import load
from torchserve_gateway.settings.project import ProjectSettings
from torchserve_gateway.settings.torchserve import TorchServeSettings
from torchserve_gateway.terminal.output import console
from torchserve_gateway.terminal.waits import waiting
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.descriptions import Answer
from torchserve_gateway.torchserve_api.errors import RefusedError, TorchServeError
from torchserve_gateway.torchserve_api.management import ManagementClient

ResultT = TypeVar("ResultT", bound=Answer)
Operation = Callable[[ManagementClient], Awaitable[ResultT]]


class CommandError(Exception):
    """The command failed; the message says why and how to make it right."""


def run(
    operation: Operation[ResultT],
    show: Callable[[ResultT], RenderableType],
    *,
    as_json: bool,
    overrides: list[str] | None,
    model: str | None = None,
) -> NoReturn:
    """Runs `operation` on the configured TorchServe, then prints its result as JSON or as `show` shows it.

    model: The model that the command is about, for the message when it fails.

    Raises:
        typer.Exit: always, with the exit code.
    """

    def call_and_print() -> None:
        settings = load("gateway", ProjectSettings, overrides or [])
        with waiting("TorchServe's answer", settings.torchserve.management_url):
            result = asyncio.run(_call(operation, settings.torchserve, model))
        if as_json:
            print(result.model_dump_json(by_alias=True, indent=2))
        else:
            console().print(show(result))

    log_to_stderr(logging.WARNING, "%(levelname)s %(message)s")
    raise typer.Exit(exit_code(call_and_print, (CommandError, TorchServeError)))


async def _call(operation: Operation[ResultT], settings: TorchServeSettings, model: str | None) -> ResultT:
    torchserve = TorchServe.at(settings)
    async with torchserve.http:
        try:
            return await operation(torchserve.management)
        except RefusedError as exc:
            raise CommandError(await reason(exc, torchserve.management, model)) from exc
