"""Settings of `config/train.yaml` and `config/evaluate.yaml`."""

from typing import Annotated, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from examples.genre.posters import GENRES
from torchserve_gateway.settings.composition import Settings
from torchserve_gateway.settings.model import ModelSettings


class PosterSettings(Settings):
    """A set of generated posters."""

    seed: NonNegativeInt
    posters_per_genre: PositiveInt
    sizes: Annotated[list[tuple[PositiveInt, PositiveInt]], Field(min_length=1)]
    """(width, height) in pixels, chosen at random."""


class EvaluateSettings(Settings):
    """The root `config/evaluate.yaml`."""

    model: ModelSettings
    held_out: PosterSettings
    batch_size: PositiveInt
    threads: PositiveInt

    @model_validator(mode="after")
    def _posters_can_be_drawn(self) -> Self:
        unknown = [label for label in self.model.labels if label not in GENRES]
        if unknown:
            raise ValueError(f"model.labels: no posters of {', '.join(unknown)}; known: {', '.join(GENRES)}")
        return self


class TrainSettings(EvaluateSettings):
    """The root `config/train.yaml`."""

    training: PosterSettings
    seed: NonNegativeInt
    epochs: PositiveInt
    learning_rate: PositiveFloat
    """Peak of the one-cycle schedule."""
    weight_decay: NonNegativeFloat
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _held_out_posters_are_new(self) -> Self:
        if self.training.seed == self.held_out.seed:
            raise ValueError(f"training.seed and held_out.seed are both {self.training.seed}: same posters")
        return self
