"""The settings of deploys: `config/upload.yaml`, `config/rollback.yaml` and `config/strategy/`."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, StringConstraints, model_validator

from torchserve_gateway.settings.archive import ArchiveSettings
from torchserve_gateway.settings.composition import Settings, WorkingPath
from torchserve_gateway.settings.model_parts.weights import Sha256
from torchserve_gateway.settings.project import ProjectSettings

Percent = Annotated[float, Field(gt=0, le=100)]
Rate = Annotated[float, Field(ge=0, le=1)]


class BlueGreen(Settings):
    """All requests at once, as soon as the version has passed its check."""

    kind: Literal["blue_green"]
    """The strategy's name."""


class Canary(Settings):
    """A growing share of the requests, as long as the new version does about as well as the old version."""

    kind: Literal["canary"]
    """The strategy's name."""
    steps: Annotated[list[Percent], Field(min_length=1)]
    """Percent of the requests, growing; all of them after the last step."""
    step_s: NonNegativeFloat
    """Shortest time of a step, seconds."""
    min_requests: PositiveInt
    """Answers or errors of the new version by which a step is judged."""
    step_timeout_s: PositiveFloat
    """Seconds within which min_requests must arrive; else the version is rolled back."""
    max_error_rate_increase: Rate
    """Largest difference of the error rates (0 to 1), new minus old."""
    max_latency_ratio: PositiveFloat
    """Largest p95 latency of the new version as a multiple of the old version's."""

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if sorted(set(self.steps)) != self.steps:
            raise ValueError(f"steps = {self.steps} must grow from step to step")
        if self.step_timeout_s < self.step_s:
            raise ValueError(
                f"step_timeout_s = {self.step_timeout_s:g} is shorter than step_s = {self.step_s:g}"
            )
        return self


class Shadow(Settings):
    """Copies of some requests, whose answers are compared and dropped."""

    kind: Literal["shadow"]
    """The strategy's name."""
    share: Percent
    """Percent of the requests that are copied."""
    min_requests: PositiveInt
    """Answers to compare."""
    timeout_s: PositiveFloat
    """Seconds within which min_requests must arrive."""
    min_same_class: Rate
    """Share of the answers (0 to 1) that must name the same class on top."""
    max_failed: Rate
    """Share of the copies (0 to 1) that may fail."""
    promote: bool
    """Whether a version within these bounds is deployed; False: it is removed either way."""


Strategy = Annotated[BlueGreen | Canary | Shadow, Field(discriminator="kind")]


class SwapSettings(ProjectSettings):
    """The root `config/rollback.yaml`, and the common part of `config/upload.yaml`."""

    strategy: Strategy
    """How requests move to the new version."""
    ready_timeout_s: PositiveFloat
    """Seconds until the new version's workers must be READY."""
    drain_timeout_s: PositiveFloat
    """Seconds the old version may take to finish its requests."""
    settle_s: NonNegativeFloat
    """Seconds that the old version's queues must stay empty before it is retired."""
    keep_previous: Annotated[int, Field(ge=0)]
    """Versions that are kept for a rollback."""
    max_archive_mb: PositiveInt
    """Megabytes above which an archive is not downloaded."""
    unreachable_replicas: Literal["fail", "skip"]
    """Whether a replica that cannot be reached fails the deploy."""

    @model_validator(mode="after")
    def _torchserve_tells_versions_apart(self) -> Self:
        # On a shared address the Inference API answers for /models/{model}/... with a 404.
        for url in self.torchserve.management_urls:
            if urlsplit(url).port == self.torchserve.inference_port_of_replicas:
                raise ValueError(
                    f"TorchServe's Management API at {url} shares its address with the Inference API: "
                    "there it answers 404 to calls about one version, so nothing can be deployed; give "
                    "management_address in its config.properties a port of its own"
                )
        return self

    @model_validator(mode="after")
    def _samples_have_labels(self) -> Self:
        for sample in self.model.samples:
            known = self.model.labels or (sample.expected_class,)
            if sample.expected_class is not None and sample.expected_class not in known:
                raise ValueError(
                    f"model.samples expects {sample.expected_class} of {sample.file.name}, "
                    "which is none of the labels"
                )
        return self

    @model_validator(mode="after")
    def _drain_outlasts_requests(self) -> Self:
        if self.drain_timeout_s <= self.gateway.deadline_s:
            raise ValueError(
                f"drain_timeout_s = {self.drain_timeout_s:g} must be above gateway.deadline_s = "
                f"{self.gateway.deadline_s:g}: so long a request may wait for its answer"
            )
        return self


class RequestParams(Settings):
    """TorchServe's parameters of `POST /models`, in its units."""

    url: Annotated[str, Field(min_length=1)] | None
    """Archive to deploy, as in ArchiveSourceSettings."""
    batch_size: PositiveInt
    """Largest batch, images."""
    initial_workers: PositiveInt | None
    """Worker processes; None: one per core."""
    max_batch_delay: Annotated[int, Field(ge=0)]
    """Milliseconds that a batch is collected at most."""
    response_timeout: PositiveInt
    """Seconds a batch may take."""
    startup_timeout: PositiveInt
    """Seconds a worker may take to load the model."""


class ArchiveSourceSettings(Settings):
    """Origin of the archive."""

    url: Annotated[str, StringConstraints(min_length=1)] | None
    """File name in model_mars, or a URL; None: the archive is built from the model's parts."""
    path: WorkingPath | None = None
    """File of an archive that is taken as it is, in the place of `url`."""
    sha256: Sha256 | None
    """Hex digest of the archive; None: `<url>.sha256` holds it, and a local file is not compared."""


class UploadSettings(SwapSettings, ArchiveSettings):
    """The root `config/upload.yaml`: the deploy, and the build of its archive."""

    archive_source: ArchiveSourceSettings
    """Where the archive comes from."""
    if_another_serves: Literal["refuse", "keep"]
    """Whether a deploy without a named version fails or ends where another version serves."""
    request_params: RequestParams
    """TorchServe's parameters."""
