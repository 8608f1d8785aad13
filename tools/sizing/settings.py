"""What `config/scaling.yaml` says."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from torchserve_gateway.settings.composition import Settings
from torchserve_gateway.settings.model import ModelSettings

Share = Annotated[float, Field(gt=0, lt=1)]


class ScalingSettings(Settings):
    """Rates in images a second."""

    model: ModelSettings
    loads: list[Share]
    load_s: PositiveFloat
    target_rate: PositiveFloat
    utilisation: Share
    workers_per_replica: PositiveInt
    price_per_core_hour: PositiveFloat
    replicas: list[PositiveInt]
    simulated_requests: Annotated[int, Field(ge=1000)]
