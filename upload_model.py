"""`make upload_model`: deploys a version of a model through the Management API and retires the old ones.

Exit codes: 0 it serves; 1 it does not, and what served before still does; 2 bad configuration.
"""

import asyncio
import os
import sys
from contextlib import nullcontext
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from configuration import ProjectPath, Settings
from entry_point import run
from project_settings import ProjectSettings
from torchserve_api.connection import TorchServe
from torchserve_api.deployed import DeployedModel
from torchserve_api.deployment import Deployment, DeploymentError, swap_version
from torchserve_api.golden_check import golden_check
from torchserve_api.model_store import ModelStoreError, deploy_lock
from ts_serialize.settings import ModelName


class ServedModelSettings(Settings):
    """Under which name the model is served."""

    model_name: ModelName


class RequestParams(Settings):
    """TorchServe's parameters of `POST /models`. initial_workers: None for one per core."""

    url: Annotated[str, Field(min_length=1)]
    batch_size: PositiveInt
    initial_workers: PositiveInt | None
    max_batch_delay: Annotated[int, Field(ge=0)]
    response_timeout: PositiveInt
    startup_timeout: PositiveInt


class ArchiveSourceSettings(Settings):
    """Where the archive comes from: a file name in model_mars, or a URL."""

    url: str


class UploadSettings(ProjectSettings):
    """The root `config/upload.yaml`."""

    archive_source: ArchiveSourceSettings
    served_model: ServedModelSettings
    request_params: RequestParams
    model_mars: ProjectPath
    ready_timeout_s: PositiveFloat
    drain_timeout_s: PositiveFloat


def upload_model(settings: UploadSettings) -> None:
    """Deploys and says what serves now.

    Raises:
        DeploymentError, ModelStoreError: it was not deployed.
    """
    deployment = _deployment(settings)
    with deploy_lock(deployment.model_store) if deployment.model_store else nullcontext():
        asyncio.run(_swap(settings, deployment))
    print(f"{deployment.model} {deployment.wanted.version} serves")


async def _swap(settings: UploadSettings, deployment: Deployment) -> None:
    torchserve, sample = TorchServe.at(settings.torchserve), settings.model.sample
    async with torchserve.client:
        check = golden_check(
            torchserve.inference,
            sample.image,
            settings.model.labels,
            sample.expected_class,
            deadline_s=settings.request_params.response_timeout,
        )
        await swap_version(torchserve.management, deployment, check)


def _deployment(settings: UploadSettings) -> Deployment:
    params = settings.request_params
    wanted = DeployedModel(
        version=settings.model.version,
        archive=params.url.split("?")[0].rsplit("/", 1)[-1],
        initial_workers=params.initial_workers or len(os.sched_getaffinity(0)),
        **params.model_dump(exclude={"url", "initial_workers"}),
    )
    return Deployment(
        model=settings.served_model.model_name,
        url=params.url,
        archive=None if "://" in params.url else settings.model_mars / params.url,
        wanted=wanted,
        model_store=settings.torchserve.model_store,
        ready_timeout_s=settings.ready_timeout_s,
        drain_timeout_s=settings.drain_timeout_s,
    )


if __name__ == "__main__":
    sys.exit(run("upload", UploadSettings, upload_model, (DeploymentError, ModelStoreError)))
