"""Settings of `config/scaling.yaml`."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from torchserve_gateway.settings.composition import Settings
from torchserve_gateway.settings.model import ModelSettings

Share = Annotated[float, Field(gt=0, lt=1)]


class ScalingSettings(Settings):
    """Loads to measure and deployments to predict."""

    model: ModelSettings
    loads: list[Share]
    """Measured loads, as shares of the saturated rate."""
    load_s: PositiveFloat
    """Seconds of each measured load."""
    target_rate: PositiveFloat
    """Images a second to size for."""
    utilisation: Share
    """Busy share of workers and gateways."""
    workers_per_replica: PositiveInt
    price_per_core_hour: PositiveFloat
    """Price in any currency."""
    replicas: list[PositiveInt]
    """Numbers of replicas to predict."""
    simulated_requests: Annotated[int, Field(ge=1000)]
