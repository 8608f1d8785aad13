"""The settings of the load test, `config/stress.yaml`."""

from pydantic import PositiveFloat, PositiveInt

from torchserve_gateway.settings.composition import ResourcePath
from torchserve_gateway.settings.project import ProjectSettings


class StressSettings(ProjectSettings):
    """The root `config/stress.yaml`."""

    images_dir: ResourcePath
    """The images to send."""
    clients: PositiveInt
    """Clients, each with an image of its own."""
    rate: PositiveFloat | None
    """Requests a second; None: each client sends the next request when it has an answer."""
    rounds: PositiveInt
    """Rounds that are measured."""
    round_s: PositiveFloat
    """Length of a round, seconds."""
    request_timeout_s: PositiveFloat
    """Seconds until a client gives up on an answer."""
    probability_tolerance: PositiveFloat
    """Largest difference of a probability that counts as the same answer."""
