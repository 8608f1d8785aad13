"""The settings of a model's engine: how closely its answers must follow the original's."""

from typing import Annotated

from pydantic import Field

from torchserve_gateway.settings.composition import Settings

Share = Annotated[float, Field(ge=0, le=1)]


class ParitySettings(Settings):
    """Limits within which an archive is written; the original is the checkpoint in fp32."""

    min_agreement: Share = 0.99
    """Smallest share of the images with the same class on top."""
    max_difference: Share = 0.05
    """Largest difference of a probability."""
    max_accuracy_loss: Share = 0.01
    """Largest loss of accuracy on the images whose label is known."""
