"""Subcommands from a model's file to an archive or a URL."""

from typing import Annotated

import typer

from torchserve_gateway.commands.onboarding import options
from torchserve_gateway.commands.subcommands.arguments import Overrides, finish

app = typer.Typer()


@app.command()
def serve(
    weights: Annotated[
        str, typer.Argument(metavar="MODEL", help="TorchScript, .pt2, a state dict, or a URL.")
    ],
    overrides: Overrides = None,
    *,
    labels: options.Labels = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; by default that of the file.")] = None,
    image: options.ImageSize = None,
    architecture: options.Architecture = None,
    sha256: options.Checksum = None,
    image_file: options.Picture = None,
    force: options.Force = False,
) -> None:
    """Serves a file with a classifier: from nothing to a URL.

    Looks into the file, describes it in config/model/, starts what does not run, deploys, predicts a picture.
    Called again with another file of the same name, it deploys the next version.

    Example: torchserve-gateway serve pets.pt --labels labels.txt
    """
    from torchserve_gateway.commands.onboarding.serve import SERVE, main
    from torchserve_gateway.onboarding.asked import Asked

    asked = Asked(weights, labels, name, image, architecture, sha256, image_file, force)
    finish(main(asked, overrides or [], SERVE))


@app.command()
def new_model(
    overrides: Overrides = None,
    *,
    name: Annotated[str, typer.Option(help="Name of the model.")],
    weights: Annotated[str, typer.Option(help=options.WEIGHTS)],
    labels: options.Labels = None,
    image: options.ImageSize = None,
    architecture: options.Architecture = None,
    sha256: options.Checksum = None,
    image_file: options.Picture = None,
    force: options.Force = False,
) -> None:
    """Describes a new model in config/model/, and serves it.

    As `serve`, but a file that exists is only replaced with --force.

    Example: torchserve-gateway new-model --name pets --weights pets.pt --labels labels.txt
    """
    from torchserve_gateway.commands.onboarding.serve import NEW_MODEL, main
    from torchserve_gateway.onboarding.asked import Asked

    asked = Asked(weights, labels, name, image, architecture, sha256, image_file, force)
    finish(main(asked, overrides or [], NEW_MODEL))


@app.command()
def generate_mar(overrides: Overrides = None) -> None:
    """Builds an archive in model_mars/.

    The checkpoint is fetched first if model.weights.url names one. Settings: config/archive.yaml.

    Example: torchserve-gateway generate-mar model=genre 'model.version="2.0"'
    """
    from torchserve_gateway.commands.generate_mar import main

    finish(main(overrides or []))


@app.command()
def download_weights(overrides: Overrides = None) -> None:
    """Fetches a checkpoint and verifies it.

    Settings: config/archive.yaml.

    Example: torchserve-gateway download-weights model=genre
    """
    from torchserve_gateway.commands.download_weights import main

    finish(main(overrides or []))
