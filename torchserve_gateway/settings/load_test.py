"""The settings of the load test, `config/stress.yaml`."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from torchserve_gateway.settings.composition import ResourcePath, Settings, WorkingPath
from torchserve_gateway.settings.project import ProjectSettings


def _in_existing_folder(path: WorkingPath) -> WorkingPath:
    if not path.parent.is_dir() or path.is_dir():
        raise ValueError(f"{path} cannot be a report: a file name in an existing folder would be right")
    return path


ReportPath = Annotated[WorkingPath, AfterValidator(_in_existing_folder)]
"""A file to be written when the load has ended; checked before it begins."""


class RampSettings(Settings):
    """A rate that changes evenly."""

    start: NonNegativeFloat
    """Requests a second at the start."""
    end: PositiveFloat
    """Requests a second at the end of the last round."""


class StressSettings(ProjectSettings):
    """The root `config/stress.yaml`."""

    images_dir: ResourcePath
    """The images to send."""
    clients: PositiveInt
    """Clients, each with an image of its own."""
    rate: PositiveFloat | None
    """Requests a second; None: each client sends the next request when it has an answer."""
    ramp: RampSettings | None
    """A rate that changes over all rounds, instead of `rate`."""
    steps: Annotated[list[PositiveFloat], Field(min_length=1)] | None
    """Requests a second of each round, instead of `rate` and `rounds`."""
    rounds: PositiveInt
    """Rounds that are measured."""
    round_s: PositiveFloat
    """Length of a round, seconds."""
    request_timeout_s: PositiveFloat
    """Seconds until a client gives up on an answer."""
    probability_tolerance: PositiveFloat
    """Largest difference of a probability that counts as the same answer."""
    report_json: ReportPath | None
    """Report for `stress compare`; None: none."""
    report_html: ReportPath | None
    """Report with charts; None: none."""

    @model_validator(mode="after")
    def _one_profile(self) -> Self:
        given = [name for name in ("rate", "ramp", "steps") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are set, only one of rate, ramp and steps can be")
        return self
