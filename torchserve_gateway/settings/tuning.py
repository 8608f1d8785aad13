"""`config/tune.yaml`: the search for batching, workers and threads."""

from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from torchserve_gateway.settings.composition import ResourcePath, WorkingPath
from torchserve_gateway.settings.project import ProjectSettings

# A queue that grows by 5 % of the requests makes the last of them late by a twentieth of the window.
LIMITS_A_WINDOW = 20
Choices = Annotated[list[PositiveInt], Field(min_length=1)]


class TuneSettings(ProjectSettings):
    """The root `config/tune.yaml`."""

    p99_ms: PositiveFloat
    """Milliseconds within which 99 of 100 requests must be answered."""
    batch_sizes: Choices
    """Values of batch_size."""
    max_batch_delays: Annotated[list[NonNegativeInt], Field(min_length=1)]
    """Values of max_batch_delay, milliseconds."""
    workers: Choices | None
    """Numbers of workers; None: by the cores."""
    threads: Choices | None
    """Threads of a worker; None: by cores and workers."""
    trials: PositiveInt
    """Combinations to try."""
    budget_s: PositiveFloat
    """Seconds of a run."""
    requests: PositiveInt
    """Least requests of a measurement."""
    min_window_s: PositiveFloat
    """Least seconds of a measurement."""
    max_window_s: PositiveFloat
    """Most seconds of a measurement."""
    min_gain: Annotated[float, Field(gt=1, le=2)]
    """Ratio to the best rate so far at which a combination is tried."""
    images_dir: ResourcePath
    """Images to send, if the model takes images."""
    clients: PositiveInt
    """Different images to send."""
    request_timeout_s: PositiveFloat
    """Seconds until a client gives up on an answer."""
    tune_dir: WorkingPath
    """Folder of journals, charts and the stack."""
    fresh: bool
    """Whether to forget earlier measurements."""
    write: WorkingPath | None
    """Model file that gets the best combination; None: no file is changed."""

    @property
    def least_window_s(self) -> float:
        """Seconds of a measurement in which a growing queue shows."""
        return LIMITS_A_WINDOW * self.p99_ms / 1000

    @model_validator(mode="after")
    def _growing_queues_show(self) -> Self:
        if self.max_window_s < max(self.least_window_s, self.min_window_s):
            raise ValueError(
                f"max_window_s = {self.max_window_s:g} must be at least min_window_s = {self.min_window_s:g} "
                f"and {LIMITS_A_WINDOW} times p99_ms, {self.least_window_s:g}: in a shorter measurement a "
                "growing queue does not show"
            )
        return self
