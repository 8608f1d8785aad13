"""The installed command, `torchserve-gateway`; make targets run it as `python -m torchserve_gateway`.

Every subcommand takes Hydra overrides, KEY=VALUE, behind its own arguments. Its module is imported when it
runs: torch takes seconds, and the gateway's image is without it.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from torchserve_gateway.commands.onboarding import options

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", show_default=False, help="Hydra override: gateway.port=6003"),
]

AsJson = Annotated[bool, typer.Option("--json", help="Prints JSON, for a script.")]

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

    Exit codes: 0 done; 1 failed, and the versions that served before still serve; 2 wrong usage or settings.
    """
    if version:
        from torchserve_gateway.version import __version__

        print(__version__)
        raise typer.Exit


@app.command()
def up(overrides: Overrides = None) -> None:
    """Starts TorchServe and the gateway in the background.

    Crashed processes restart with the deployed versions. Settings: config/stack.yaml.

    Example: torchserve-gateway up gateway.port=6003
    """
    from torchserve_gateway.commands import stack

    _exit(stack.run_action(stack.up, overrides or []))


@app.command()
def down(overrides: Overrides = None) -> None:
    """Stops both after the requests in flight."""
    from torchserve_gateway.commands import stack

    _exit(stack.run_action(stack.down, overrides or []))


@app.command()
def status(overrides: Overrides = None, *, json: AsJson = False) -> None:
    """Prints state, pid and URL of both.

    Example: torchserve-gateway status --json
    """
    from torchserve_gateway.commands import stack

    _exit(stack.run_action(partial(stack.status, as_json=json), overrides or []))


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

    _exit(main(of, overrides or []))


@app.command("app")
def gateway(overrides: Overrides = None) -> None:
    """Runs the gateway alone in the foreground.

    Settings: config/gateway.yaml.

    Example: torchserve-gateway app gateway.log_format=json
    """
    from torchserve_gateway.commands.app import main

    _exit(main(overrides or []))


@app.command()
def torchserve(overrides: Overrides = None) -> None:
    """Runs TorchServe alone in the foreground.

    Settings: config/stack.yaml.

    Example: torchserve-gateway torchserve torchserve.environment.OMP_NUM_THREADS=2
    """
    from torchserve_gateway.commands.torchserve import main

    _exit(main(overrides or []))


@app.command()
def file_browser(overrides: Overrides = None) -> None:
    """Serves model_mars/ with nginx in the foreground.

    Settings: config/stack.yaml.

    Example: torchserve-gateway file-browser file_browser.host=0.0.0.0
    """
    from torchserve_gateway.commands.file_browser import main

    _exit(main(overrides or []))


@app.command()
def deploy(overrides: Overrides = None) -> None:
    """Swaps a version of a model in with no failed request.

    The archive is built first, unless archive_source names another. The new version must answer the samples;
    until then, and if it fails, the old version serves. Without model.version=... it is the version of the
    model's file, which replaces no other.

    Settings: config/upload.yaml.

    Example: torchserve-gateway deploy model=genre 'model.version="2.0"' strategy=canary
    """
    from torchserve_gateway.commands.deploy import main

    _exit(main(overrides or []))


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
    _exit(main(asked, overrides or [], SERVE))


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
    _exit(main(asked, overrides or [], NEW_MODEL))


@app.command()
def rollback(overrides: Overrides = None) -> None:
    """Goes back to the version that served before.

    Settings: config/rollback.yaml.

    Example: torchserve-gateway rollback model=genre
    """
    from torchserve_gateway.commands.rollback import main

    _exit(main(overrides or []))


@app.command()
def record_samples(overrides: Overrides = None) -> None:
    """Writes the serving version's answers as the expected ones.

    A new version must then answer the model's samples alike. inputs=[FILE,...] adds samples.

    Settings: config/record_samples.yaml.

    Example: torchserve-gateway record-samples model=pets inputs=[cat.jpg]
    """
    from torchserve_gateway.commands.samples.record_samples import main

    _exit(main(overrides or []))


@app.command()
def models(overrides: Overrides = None, *, json: AsJson = False) -> None:
    """Lists versions, workers, batching and queues.

    Settings: config/models.yaml.

    Example: torchserve-gateway models --json
    """
    from torchserve_gateway.commands.models import main

    _exit(main([*(overrides or []), *(["format=json"] if json else [])]))


@app.command()
def watch(overrides: Overrides = None) -> None:
    """Shows images per second, latency, queue and versions of the running gateway, once a second.

    A table on a terminal, a line a second in a pipe. Settings: config/gateway.yaml.

    Example: torchserve-gateway watch gateway.port=6003
    """
    from torchserve_gateway.commands.watch import main

    _exit(main(overrides or []))


@app.command()
def generate_mar(overrides: Overrides = None) -> None:
    """Builds an archive in model_mars/.

    The checkpoint is fetched first if model.weights.url names one. Settings: config/archive.yaml.

    Example: torchserve-gateway generate-mar model=genre 'model.version="2.0"'
    """
    from torchserve_gateway.commands.generate_mar import main

    _exit(main(overrides or []))


@app.command()
def optimize(overrides: Overrides = None) -> None:
    """Measures a model on every engine and precision of this machine.

    Settings: config/optimize.yaml.

    Example: torchserve-gateway optimize model=genre write=config/model/genre.yaml
    """
    from torchserve_gateway.commands.optimize import main

    _exit(main(overrides or []))


@app.command()
def tune(overrides: Overrides = None) -> None:
    """Searches batching, workers and threads for the most images per second.

    Measures on a stack of its own, within a limit of the 99th percentile; goes on after Ctrl-C.

    Settings: config/tune.yaml.

    Example: torchserve-gateway tune model=genre p99_ms=100 write=config/model/genre.yaml
    """
    from torchserve_gateway.commands.tuning.tune import main

    _exit(main(overrides or []))


@app.command()
def download_weights(overrides: Overrides = None) -> None:
    """Fetches a checkpoint and verifies it.

    Settings: config/archive.yaml.

    Example: torchserve-gateway download-weights model=genre
    """
    from torchserve_gateway.commands.download_weights import main

    _exit(main(overrides or []))


@app.command()
def stress(overrides: Overrides = None) -> None:
    """Measures images per second, checks every answer.

    With `compare BEFORE.json AFTER.json` instead of settings: two reports side by side.

    Settings: config/stress.yaml.

    Example: torchserve-gateway stress clients=16 rounds=3
    """
    from torchserve_gateway.commands.stress import main

    _exit(main(overrides or []))


@app.command()
def adopt(overrides: Overrides = None) -> None:
    """Puts the models of a TorchServe that runs already on record.

    Changes nothing there. The gateway in front of it then gives them admission, canary, shadow, swaps, cache
    and metrics. Settings: config/adopt.yaml.

    Example: torchserve-gateway adopt torchserve.management_url=http://10.0.0.7:8081
    """
    from torchserve_gateway.commands.migration.adopt import main

    _exit(main(overrides or []))


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

    _exit(main(file, name, as_json=json, force=force))


@app.command()
def demo(overrides: Overrides = None) -> None:
    """Predicts every image of imgs/ through the gateway.

    Settings: config/stress.yaml.

    Example: torchserve-gateway demo images_dir=posters
    """
    from torchserve_gateway.commands.demo import main

    _exit(main(overrides or []))


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

    _exit(exit_code(lambda: print(compose_yaml(root_file, overrides or []), end=""), ()))


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


def _exit(code: int) -> None:
    raise typer.Exit(code)
