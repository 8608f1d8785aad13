"""What `config/stress.yaml` says."""

from pydantic import PositiveFloat, PositiveInt

from torchserve_gateway.settings.composition import ProjectPath
from torchserve_gateway.settings.project import ProjectSettings


class StressSettings(ProjectSettings):
    """Times in seconds. rate: requests a second, None for as many as are answered."""

    images_dir: ProjectPath
    clients: PositiveInt
    rate: PositiveFloat | None
    rounds: PositiveInt
    round_s: PositiveFloat
    request_timeout_s: PositiveFloat
    probability_tolerance: PositiveFloat
