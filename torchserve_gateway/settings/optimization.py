"""`config/optimize.yaml`: the measurement of engines."""

from typing import Annotated

from pydantic import Field, PositiveInt

from torchserve_gateway.settings.composition import WorkingPath
from torchserve_gateway.settings.project import ProjectSettings


class OptimizeSettings(ProjectSettings):
    """The root `config/optimize.yaml`."""

    turns: PositiveInt
    """Measurements of each network at each batch size."""
    min_speedup: Annotated[float, Field(ge=1)]
    """Least ratio to torchscript fp32 for which another engine is worth it."""
    write: WorkingPath | None
    """Model file that gets the best engine and precision; None: no file is changed."""
