"""Subcommands that deploy versions and look after them."""

from pathlib import Path
from typing import Annotated

import typer

from torchserve_gateway.commands.subcommands.arguments import AsJson, Overrides, finish

app = typer.Typer()


@app.command()
def deploy(overrides: Overrides = None, *, json: AsJson = False) -> None:
    """Swaps a version of a model in with no failed request.

    The archive is built first, unless archive_source names another. The new version must answer the samples;
    until then, and if it fails, the old version serves. Without model.version=... it is the version of the
    model's file, which replaces no other.

    Settings: config/upload.yaml.

    Example: torchserve-gateway deploy model=genre 'model.version="2.0"' strategy=canary
    """
    from torchserve_gateway.commands.deploy import main

    finish(main(overrides or [], as_json=json))


@app.command()
def rollback(overrides: Overrides = None, *, json: AsJson = False) -> None:
    """Goes back to the version that served before.

    Settings: config/rollback.yaml.

    Example: torchserve-gateway rollback model=genre
    """
    from torchserve_gateway.commands.rollback import main

    finish(main(overrides or [], as_json=json))


@app.command()
def record_samples(overrides: Overrides = None) -> None:
    """Writes the serving version's answers as the expected ones.

    A new version must then answer the model's samples alike. inputs=[FILE,...] adds samples.

    Settings: config/record_samples.yaml.

    Example: torchserve-gateway record-samples model=pets inputs=[cat.jpg]
    """
    from torchserve_gateway.commands.samples.record_samples import main

    finish(main(overrides or []))


@app.command()
def models(overrides: Overrides = None, *, json: AsJson = False) -> None:
    """Lists versions, workers, batching and queues.

    Settings: config/models.yaml.

    Example: torchserve-gateway models --json
    """
    from torchserve_gateway.commands.models import main

    finish(main([*(overrides or []), *(["format=json"] if json else [])]))


@app.command()
def watch(
    overrides: Overrides = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="Ends after the newest sample.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Prints a JSON object a line, for a script.")] = False,
) -> None:
    """Shows images per second, latency, queue and versions of the running gateway, once a second.

    A table on a terminal, a line a second in a pipe. Settings: config/gateway.yaml.

    Example: torchserve-gateway watch --once --json
    """
    from torchserve_gateway.commands.live.watch import main

    finish(main(overrides or [], once=once, as_json=json))


@app.command()
def adopt(overrides: Overrides = None) -> None:
    """Puts the models of a TorchServe that runs already on record.

    Changes nothing there. The gateway in front of it then gives them admission, canary, shadow, swaps, cache
    and metrics. Settings: config/adopt.yaml.

    Example: torchserve-gateway adopt torchserve.management_url=http://10.0.0.7:8081
    """
    from torchserve_gateway.commands.migration.adopt import main

    finish(main(overrides or []))


@app.command()
def import_config(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A config.properties, or a snapshot of one.")],
    *,
    name: Annotated[
        str | None, typer.Option(help="Writes config/torchserve/NAME.yaml here; without it, it is printed.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Prints the decisions as JSON.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replaces the file.")] = False,
) -> None:
    """Turns TorchServe's config.properties into our settings.

    Says of each key whether it is kept, overridden or refused, and why. Variables of this shell are read as
    TorchServe reads them: $$NAME$$, and TS_NAME with enable_envvars_config=true.

    Example: torchserve-gateway import-config config.properties --name mine && torchserve-gateway up
    torchserve=mine
    """
    from torchserve_gateway.commands.migration.import_config import main

    finish(main(file, name, as_json=json, force=force))
