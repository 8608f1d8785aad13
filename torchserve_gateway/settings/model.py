"""What `config/model/<name>.yaml` says."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, PositiveInt, StringConstraints, field_validator, model_validator

from torchserve_gateway.settings.composition import PROJECT_ROOT, ProjectPath, Settings
from ts_serialize.preprocessing import check_preprocessing

# TorchServe accepts names such as `../x` and then cannot remove them over its API.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


def _refuse_number(value: object) -> object:
    if isinstance(value, int | float):
        raise ValueError("a version is text, quote it: model.version='\"1.10\"' (as a number 1.10 is 1.1)")
    return value


ModelName = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=100)]
ModelVersion = Annotated[
    str, BeforeValidator(_refuse_number), StringConstraints(pattern=NAME_PATTERN, max_length=50)
]
Sha256 = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[0-9a-fA-F]{64}$")]
Channels = Annotated[list[float], Field(min_length=3, max_length=3)]


class WeightsSettings(Settings):
    """Where the TorchScript checkpoint lies, and where it is fetched from."""

    path: ProjectPath
    url: str | None
    sha256: Sha256 | None

    @model_validator(mode="after")
    def _downloads_are_verified(self) -> "WeightsSettings":
        if self.url and not self.sha256:
            raise ValueError(f"sha256 is required with url = {self.url}: the checksum of the file behind it")
        return self


class ImageSettings(Settings):
    """How the handler turns an image into the network's input.

    resize: the shorter edge in pixels, or [height, width]; crop: edge of the centre crop in pixels, None only
    with [height, width];
    max_pixels: width x height above which an image is refused undecoded; mean and std: per RGB channel
    of values in 0..1.
    """

    resize: PositiveInt | Annotated[list[PositiveInt], Field(min_length=2, max_length=2)]
    crop: PositiveInt | None
    max_pixels: PositiveInt
    mean: Channels
    std: Channels

    @model_validator(mode="after")
    def _every_image_gives_a_tensor_of_one_shape(self) -> "ImageSettings":
        check_preprocessing(self.model_dump())
        return self


class SampleSettings(Settings):
    """An image whose right answer is known; a new version must give it before it gets traffic.

    expected_class: None if it is not known; probability: of that class, None if any will do.
    """

    image: ProjectPath
    expected_class: str | None
    probability: Annotated[float, Field(ge=0, le=1)] | None = None


class ModelSettings(Settings):
    """One served model.

    handler_modules: files the handler imports, packed under their path in the project.
    `batch_size` .. `startup_timeout` are TorchServe's parameters in its units.
    """

    name: ModelName
    version: ModelVersion
    labels: Annotated[list[str], Field(min_length=1)]
    weights: WeightsSettings
    handler: ProjectPath
    handler_modules: list[ProjectPath]
    image: ImageSettings
    samples: Annotated[list[SampleSettings], Field(min_length=1)]
    sample_tolerance: Annotated[float, Field(ge=0, le=1)]
    batch_size: PositiveInt
    max_batch_delay: Annotated[int, Field(ge=0)]
    workers: PositiveInt | None
    response_timeout: PositiveInt
    startup_timeout: PositiveInt

    @field_validator("handler_modules")
    @classmethod
    def _modules_are_ours(cls, modules: list[Path]) -> list[Path]:
        for module in modules:
            if not module.is_relative_to(PROJECT_ROOT):
                raise ValueError(f"{module} is outside the project, so it has no import path in the archive")
        return modules

    @model_validator(mode="after")
    def _labels_are_distinct(self) -> "ModelSettings":
        twice = sorted({label for label in self.labels if self.labels.count(label) > 1})
        if twice:
            raise ValueError(f"labels name {', '.join(twice)} more than once; each class needs its own name")
        return self

    @property
    def packed_modules(self) -> dict[str, Path]:
        """Files that the handler imports, by their path in the archive."""
        return {str(module.relative_to(PROJECT_ROOT)): module for module in self.handler_modules}

    @property
    def archive_name(self) -> str:
        """`<name>-<version>.mar`: TorchServe takes a file name only once, so every version has its own."""
        return f"{self.name}-{self.version}.mar"
