"""The commands, a call of the Management API each."""

from typing import Annotated

import typer

from torchserve_gateway.management_cli import changes
from torchserve_gateway.management_cli.arguments import (
    AsJson,
    Model,
    NewModelName,
    Overrides,
    Synchronous,
    Version,
    VersionOrDefault,
    Wait,
    version_and_overrides,
)
from torchserve_gateway.management_cli.results import Changed, Description, Done
from torchserve_gateway.management_cli.session import run
from torchserve_gateway.management_cli.tables import (
    changed_table,
    description_tables,
    models_table,
    status_line,
)
from torchserve_gateway.torchserve_api.descriptions import ModelPage
from torchserve_gateway.torchserve_api.management import MAX_PAGE_SIZE, ManagementClient

app = typer.Typer(
    help="Calls TorchServe's Management API. These are raw calls: nothing is checked, drained or recorded, "
    "and a restart brings the deployed versions back; to deploy, use `torchserve-gateway deploy`.",
    epilog="Settings: config/gateway.yaml. Example: torchserve-gateway manage scale genre 2.0 --min-worker 2",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def register(  # noqa: PLR0913 - TorchServe's parameters
    url: Annotated[str, typer.Argument(help="A file in TorchServe's model store, or a URL it may load.")],
    *,
    model_name: NewModelName,
    batch_size: Annotated[int | None, typer.Option(min=1)] = None,
    max_batch_delay: Annotated[int | None, typer.Option(min=0, metavar="MILLISECONDS")] = None,
    initial_workers: Annotated[int | None, typer.Option(min=0)] = None,
    response_timeout: Annotated[int | None, typer.Option(min=1, metavar="SECONDS")] = None,
    startup_timeout: Annotated[int | None, typer.Option(min=1, metavar="SECONDS")] = None,
    runtime: Annotated[str | None, typer.Option(help="Instead of the archive's.")] = None,
    handler: Annotated[str | None, typer.Option(help="Instead of the archive's.")] = None,
    s3_sse_kms: Annotated[bool, typer.Option("--s3-sse-kms", help="The URL is encrypted on S3.")] = False,
    synchronous: Synchronous = False,
    wait: Wait = None,
    as_json: AsJson = False,
    overrides: Overrides = None,
) -> None:
    """Registers an archive as a version of a model; the archive says which version.

    Options left out have TorchServe's own defaults, for example no workers and no batching.
    """
    parameters = _given(
        url=url,
        batch_size=batch_size,
        max_batch_delay=max_batch_delay,
        initial_workers=initial_workers,
        response_timeout=response_timeout,
        startup_timeout=startup_timeout,
        runtime=runtime,
        handler=handler,
        s3_sse_kms="true" if s3_sse_kms else None,
    )

    async def call(management: ManagementClient) -> Changed:
        return await changes.register(
            management, model_name, parameters, synchronous=synchronous, wait_s=wait
        )

    run(call, changed_table, as_json=as_json, overrides=overrides)


@app.command()
def scale(  # noqa: PLR0913 - TorchServe's parameters
    model: Model,
    version: VersionOrDefault = None,
    *,
    min_worker: Annotated[int, typer.Option(min=0, help="Workers that are started.")],
    max_worker: Annotated[
        int | None, typer.Option(min=0, help="Workers above it are killed; default: --min-worker.")
    ] = None,
    timeout: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS",
            min=-1,
            help="How long a worker may finish its batch before it is killed. TorchServe 0.12.0 gets it and "
            "ignores it: it kills at once and the batch is lost.",
        ),
    ] = None,
    number_gpu: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="TorchServe 0.12.0 gets it and ignores it; `number_of_gpu` of its file is what counts.",
        ),
    ] = None,
    synchronous: Synchronous = False,
    wait: Wait = None,
    as_json: AsJson = False,
    overrides: Overrides = None,
) -> None:
    """Starts or kills workers of a version."""
    if min_worker == 0 and max_worker:
        raise typer.BadParameter(
            f"--min-worker 0 --max-worker {max_worker}: TorchServe would forget the workers that run, and "
            "they would run on; for 0 workers leave --max-worker out"
        )
    version, overrides = version_and_overrides(version, overrides)
    parameters = _given(min_worker=min_worker, max_worker=max_worker, number_gpu=number_gpu, timeout=timeout)

    async def call(management: ManagementClient) -> Changed:
        return await changes.scale(
            management, model, version, parameters, synchronous=synchronous, wait_s=wait
        )

    run(call, changed_table, as_json=as_json, overrides=overrides, model=model)


@app.command()
def describe(
    model: Model,
    version: VersionOrDefault = None,
    *,
    all_versions: Annotated[bool, typer.Option("--all", help="All versions.")] = False,
    customized: Annotated[
        bool, typer.Option("--customized", help="With the answer of the handler's describe_handle.")
    ] = False,
    as_json: AsJson = False,
    overrides: Overrides = None,
) -> None:
    """Shows how a version is registered, the state of its workers and how many requests wait."""
    version, overrides = version_and_overrides(version, overrides)
    if all_versions and (version or customized):
        raise typer.BadParameter("--all goes with neither VERSION nor --customized")

    async def call(management: ManagementClient) -> Description:
        default = (await management.describe(model))[0].model_version
        wanted = "all" if all_versions else version or default
        versions = await management.describe(model, wanted, customized=customized)
        return Description(default_version=default, versions=versions)

    run(call, description_tables, as_json=as_json, overrides=overrides, model=model)


@app.command("list")
def list_models(
    *,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE_SIZE, help="Models a page.")] = MAX_PAGE_SIZE,
    page: Annotated[int, typer.Option(min=0, metavar="TOKEN", help="As the page before names it.")] = 0,
    all_pages: Annotated[bool, typer.Option("--all-pages", help="From --page to the last.")] = False,
    as_json: AsJson = False,
    overrides: Overrides = None,
) -> None:
    """Lists the models by name."""

    async def call(management: ManagementClient) -> ModelPage:
        found = await management.list_models(limit, page)
        models = found.models
        while all_pages and found.next_page_token is not None:
            found = await management.list_models(limit, found.next_page_token)
            models = models + found.models
        return ModelPage(models=models, next_page_token=found.next_page_token)

    run(call, models_table, as_json=as_json, overrides=overrides)


@app.command()
def set_default(
    model: Model, version: Version, *, as_json: AsJson = False, overrides: Overrides = None
) -> None:
    """Sends requests that name no version to this one."""

    async def call(management: ManagementClient) -> Done:
        return Done(status=await management.set_default(model, version))

    run(call, status_line, as_json=as_json, overrides=overrides, model=model)


@app.command()
def unregister(
    model: Model,
    version: VersionOrDefault = None,
    *,
    as_json: AsJson = False,
    overrides: Overrides = None,
) -> None:
    """Removes a version at once; requests that wait or run in it are lost, most without an answer."""
    version, overrides = version_and_overrides(version, overrides)

    async def call(management: ManagementClient) -> Done:
        return Done(status=await management.unregister(model, version))

    run(call, status_line, as_json=as_json, overrides=overrides, model=model)


def _given(**options: str | int | None) -> dict[str, str | int]:
    return {name: value for name, value in options.items() if value is not None}
