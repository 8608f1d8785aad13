"""Settings of `config/digits.yaml`."""

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from torchserve_gateway.settings.project import ProjectSettings


class DigitsSettings(ProjectSettings):
    """The root `config/digits.yaml`."""

    epochs: PositiveInt
    """Passes over the training digits."""
    learning_rate: PositiveFloat
    """Peak of the one-cycle schedule."""
    seed: NonNegativeInt
    """Start of the weights and of the order of the digits."""
    count: PositiveInt
    """Held-out digits to send."""
    choice_seed: NonNegativeInt | None = Field(None)
    """Start of their choice; None: others each time."""
    request_timeout_s: PositiveFloat
    """Seconds for an answer."""
