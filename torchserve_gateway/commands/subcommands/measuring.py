"""Subcommands that measure."""

import typer

from torchserve_gateway.commands.subcommands.arguments import AsJson, Overrides, finish

app = typer.Typer()


@app.command()
def stress(overrides: Overrides = None) -> None:
    """Measures images per second, checks every answer.

    With `compare BEFORE.json AFTER.json` instead of settings: two reports side by side.

    Settings: config/stress.yaml.

    Example: torchserve-gateway stress clients=16 rounds=3
    """
    from torchserve_gateway.commands.stress import main

    finish(main(overrides or []))


@app.command()
def tune(overrides: Overrides = None, *, json: AsJson = False) -> None:
    """Searches batching, workers and threads for the most images per second.

    Measures on a stack of its own, within a limit of the 99th percentile; goes on after Ctrl-C.

    Settings: config/tune.yaml.

    Example: torchserve-gateway tune model=genre p99_ms=100 write=config/model/genre.yaml
    """
    from torchserve_gateway.commands.tuning.tune import main

    finish(main(overrides or [], as_json=json))


@app.command()
def optimize(overrides: Overrides = None) -> None:
    """Measures a model on every engine and precision of this machine.

    Settings: config/optimize.yaml.

    Example: torchserve-gateway optimize model=genre write=config/model/genre.yaml
    """
    from torchserve_gateway.commands.optimize import main

    finish(main(overrides or []))
