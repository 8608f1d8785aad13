"""What `config/upload.yaml`, `config/rollback.yaml` and `config/strategy/` say."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, StringConstraints, model_validator

from torchserve_gateway.settings.archive import ArchiveSettings
from torchserve_gateway.settings.composition import Settings
from torchserve_gateway.settings.model import ModelName, Sha256
from torchserve_gateway.settings.project import ProjectSettings

Percent = Annotated[float, Field(gt=0, le=100)]
Rate = Annotated[float, Field(ge=0, le=1)]


class BlueGreen(Settings):
    """All requests at once, as soon as the version has passed its check."""

    kind: Literal["blue_green"]


class Canary(Settings):
    """A growing share of the requests, as long as the new version does about as well as the old one.

    steps: percent of the requests; step_s: shortest time of a step, s; min_requests: answers or errors of
    the new version a step needs to be judged, within step_timeout_s; max_error_rate_increase: of the new
    version's error rate (0 to 1) over the old one's; max_latency_ratio: of their p95.
    """

    kind: Literal["canary"]
    steps: Annotated[list[Percent], Field(min_length=1)]
    step_s: NonNegativeFloat
    min_requests: PositiveInt
    step_timeout_s: PositiveFloat
    max_error_rate_increase: Rate
    max_latency_ratio: PositiveFloat

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if sorted(set(self.steps)) != self.steps:
            raise ValueError(f"steps = {self.steps} must grow from one to the next")
        if self.step_timeout_s < self.step_s:
            raise ValueError(
                f"step_timeout_s = {self.step_timeout_s:g} is shorter than step_s = {self.step_s:g}"
            )
        return self


class Shadow(Settings):
    """A copy of some requests, whose answers nobody gets.

    share: percent of the requests; min_requests: answers to compare, within timeout_s;
    min_same_class: share of them (0 to 1) that must name the same class on top; max_failed: share of copies
    that may fail; promote: deploy the version if it keeps to these, else it is removed either way.
    """

    kind: Literal["shadow"]
    share: Percent
    min_requests: PositiveInt
    timeout_s: PositiveFloat
    min_same_class: Rate
    max_failed: Rate
    promote: bool


Strategy = Annotated[BlueGreen | Canary | Shadow, Field(discriminator="kind")]


class ServedModelSettings(Settings):
    """Under which name the model is served."""

    model_name: ModelName


class SwapSettings(ProjectSettings):
    """The root `config/rollback.yaml`, and what upload adds to. Times in seconds."""

    served_model: ServedModelSettings
    strategy: Strategy
    ready_timeout_s: PositiveFloat
    drain_timeout_s: PositiveFloat
    settle_s: NonNegativeFloat
    keep_previous: Annotated[int, Field(ge=0)]
    max_archive_mb: PositiveInt
    unreachable_replicas: Literal["fail", "skip"]

    @model_validator(mode="after")
    def _torchserve_tells_versions_apart(self) -> Self:
        # Its Inference API takes what the Management API has below /models/{model}/ for its own.
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
            if sample.expected_class is not None and sample.expected_class not in self.model.labels:
                raise ValueError(
                    f"model.samples expects {sample.expected_class} of {sample.image.name}, "
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
    initial_workers: PositiveInt | None
    """None: one per core."""
    max_batch_delay: Annotated[int, Field(ge=0)]
    response_timeout: PositiveInt
    startup_timeout: PositiveInt


class ArchiveSourceSettings(Settings):
    """Origin of the archive."""

    url: Annotated[str, StringConstraints(min_length=1)] | None
    """File name in model_mars, or a URL; None: the archive is built from the model's parts."""
    sha256: Sha256 | None
    """Hex digest of the archive; None: `<url>.sha256` holds it, and a local file is not compared."""


class UploadSettings(SwapSettings, ArchiveSettings):
    """The root `config/upload.yaml`: the deploy, and the build of its archive."""

    archive_source: ArchiveSourceSettings
    request_params: RequestParams
