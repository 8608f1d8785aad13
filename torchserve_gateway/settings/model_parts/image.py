"""`image` of a model: how our handler prepares a picture."""

from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from torchserve_gateway.settings.composition import Settings
from ts_serialize.preprocessing import check_preprocessing

Channels = Annotated[list[float], Field(min_length=1)]


class ImageSettings(Settings):
    """How the handler turns an image into the network's input."""

    resize: PositiveInt | Annotated[list[PositiveInt], Field(min_length=2, max_length=2)]
    """The shorter edge, or [height, width], pixels."""
    crop: PositiveInt | None = None
    """Edge of the centre crop after the resize, pixels; None only with [height, width]."""
    max_pixels: PositiveInt = 50_000_000
    """Width x height above which an image is refused before it is decoded."""
    mean: Channels
    """Subtracted per RGB channel from values in 0..1; of length 1 for a network that takes grey images."""
    std: Channels
    """Divides what is left, per channel."""
    scaled_decoding: bool = False
    """Decodes large JPEGs at a fraction of their size."""
    decode_threads: Annotated[PositiveInt, Field(le=256)] = 1
    """Threads of a worker that decode the images of a batch."""
    gpu_decoding: bool = False
    """Whether a worker on a GPU decodes JPEGs there."""

    @model_validator(mode="after")
    def _every_image_gives_a_tensor_of_one_shape(self) -> Self:
        check_preprocessing(self.model_dump())
        return self
