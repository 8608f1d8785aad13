"""Subcommands that run TorchServe and the gateway."""

from functools import partial
from typing import Annotated, Literal

import typer

from torchserve_gateway.commands.subcommands.arguments import AsJson, Overrides, finish

app = typer.Typer()


@app.command()
def up(
    overrides: Overrides = None,
    *,
    keep_models: Annotated[
        bool, typer.Option("--keep-models", help="Leaves a running stack that serves other models as it is.")
    ] = False,
) -> None:
    """Starts TorchServe and the gateway in the background.

    Crashed processes restart with the deployed versions. Settings: config/stack.yaml.

    Example: torchserve-gateway up gateway.port=6003
    """
    from torchserve_gateway.commands.stack import main

    finish(main(overrides or [], keep_models=keep_models))


@app.command()
def down(overrides: Overrides = None) -> None:
    """Stops both after the requests in flight."""
    from torchserve_gateway.commands import stack

    finish(stack.run_action(stack.down, overrides or []))


@app.command()
def status(overrides: Overrides = None, *, json: AsJson = False) -> None:
    """Prints state, pid and URL of both.

    Example: torchserve-gateway status --json
    """
    from torchserve_gateway.commands import stack

    finish(stack.run_action(partial(stack.status, as_json=json), overrides or []))


@app.command()
def logs(
    overrides: Overrides = None,
    *,
    of: Annotated[
        Literal["gateway", "torchserve", "handler", "all"],
        typer.Option(help="handler: of the workers; all: gateway, TorchServe, supervisor."),
    ] = "gateway",
) -> None:
    """Follows the gateway's log, or that of another part.

    Example: torchserve-gateway logs --of handler
    """
    from torchserve_gateway.commands.logs import main

    finish(main(of, overrides or []))


@app.command("app")
def gateway(overrides: Overrides = None) -> None:
    """Runs the gateway alone in the foreground.

    Settings: config/gateway.yaml.

    Example: torchserve-gateway app gateway.log_format=json
    """
    from torchserve_gateway.commands.app import main

    finish(main(overrides or []))


@app.command()
def torchserve(overrides: Overrides = None) -> None:
    """Runs TorchServe alone in the foreground.

    Settings: config/stack.yaml.

    Example: torchserve-gateway torchserve torchserve.environment.OMP_NUM_THREADS=2
    """
    from torchserve_gateway.commands.torchserve import main

    finish(main(overrides or []))


@app.command()
def file_browser(overrides: Overrides = None) -> None:
    """Serves model_mars/ with nginx in the foreground.

    Settings: config/stack.yaml.

    Example: torchserve-gateway file-browser file_browser.host=0.0.0.0
    """
    from torchserve_gateway.commands.file_browser import main

    finish(main(overrides or []))


@app.command()
def demo(overrides: Overrides = None) -> None:
    """Predicts pictures with every served model through the gateway.

    Settings: config/demo.yaml.

    Example: torchserve-gateway demo images_dir=posters
    """
    from torchserve_gateway.commands.demo import main

    finish(main(overrides or []))
