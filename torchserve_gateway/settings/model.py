"""The settings of one model, `config/model/<name>.yaml`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PositiveInt,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from torchserve_gateway.settings.composition import (
    ResourcePath,
    Settings,
    existing_or_own,
    path_in_archive,
)
from torchserve_gateway.settings.engine import ParitySettings
from ts_serialize.engine_choice import INT8, check_choice
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
    """Where the checkpoint lies, and where it is fetched from."""

    url: str | None
    """Any address that fsspec reads; None: nothing is fetched."""
    sha256: Sha256 | None
    """Checksum of the file; None: not checked."""
    path: Path
    """The file: the working folder's with a URL, else maybe the package's demo checkpoint."""

    @field_validator("path")
    @classmethod
    def _downloads_stay_out_of_the_package(cls, path: Path, info: ValidationInfo) -> Path:
        return Path.cwd() / path if info.data.get("url") else existing_or_own(path)

    @model_validator(mode="after")
    def _downloads_are_verified(self) -> "WeightsSettings":
        if self.url and not self.sha256:
            raise ValueError(f"sha256 is required with url = {self.url}: the checksum of the file behind it")
        return self


class ImageSettings(Settings):
    """How the handler turns an image into the network's input."""

    resize: PositiveInt | Annotated[list[PositiveInt], Field(min_length=2, max_length=2)]
    """The shorter edge, or [height, width], pixels."""
    crop: PositiveInt | None
    """Edge of the centre crop after the resize, pixels; None only with [height, width]."""
    max_pixels: PositiveInt
    """Width x height above which an image is refused before it is decoded."""
    mean: Channels
    """Subtracted per RGB channel from values in 0..1."""
    std: Channels
    """Divides what is left, per RGB channel."""
    scaled_decoding: bool = False
    """Decodes large JPEGs at a fraction of their size."""

    @model_validator(mode="after")
    def _every_image_gives_a_tensor_of_one_shape(self) -> "ImageSettings":
        check_preprocessing(self.model_dump())
        return self


class SampleSettings(Settings):
    """An image whose right answer is known; a new version must give it before it gets traffic."""

    image: ResourcePath
    """The image file."""
    expected_class: str | None
    """The class on top; None: not known."""
    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    """Probability of that class; None: any, as long as the class is on top."""


class ModelSettings(Settings):
    """One served model."""

    name: ModelName
    """The name in `/predictions/<name>`."""
    version: ModelVersion
    """Text, as TorchServe takes it."""
    labels: Annotated[list[str], Field(min_length=1)]
    """Class names in the order of the network's outputs."""
    weights: WeightsSettings
    """The checkpoint."""
    handler: ResourcePath
    """The Python file that TorchServe's workers run."""
    handler_modules: list[ResourcePath]
    """Files that the handler imports, packed under their path in the working folder or in the package."""
    image: ImageSettings
    """Preprocessing of images."""
    engine: Literal["torchscript", "torch_export", "openvino", "onnxruntime"] = "torchscript"
    """Engine that computes the network in the workers."""
    precision: Literal["fp32", "bf16", "fp16", "int8"] = "fp32"
    """Precision in which it computes."""
    calibration_images: ResourcePath | None = None
    """Folder of images for int8's calibration and the comparison with the original; None: samples alone."""
    parity: ParitySettings = ParitySettings()
    """Limits of the differences from the original."""
    samples: Annotated[list[SampleSettings], Field(min_length=1)]
    """Images that a new version must answer right."""
    sample_tolerance: Annotated[float, Field(ge=0, le=1)]
    """Largest difference from a sample's probability."""
    batch_size: PositiveInt
    """Largest batch, images."""
    max_batch_delay: Annotated[int, Field(ge=0)]
    """Milliseconds that a batch is collected at most."""
    workers: PositiveInt | None
    """Worker processes; None: one per core."""
    response_timeout: PositiveInt
    """Seconds a batch may take; then TorchServe kills the worker."""
    startup_timeout: PositiveInt
    """Seconds a worker may take to load the model."""

    @field_validator("handler_modules")
    @classmethod
    def _modules_have_import_paths(cls, modules: list[Path]) -> list[Path]:
        for module in modules:
            path_in_archive(module)
        return modules

    @model_validator(mode="after")
    def _labels_are_distinct(self) -> "ModelSettings":
        twice = sorted({label for label in self.labels if self.labels.count(label) > 1})
        if twice:
            raise ValueError(f"labels name {', '.join(twice)} more than once; each class needs its own name")
        return self

    @model_validator(mode="after")
    def _engine_has_the_precision(self) -> Self:
        check_choice(self.engine, self.precision)
        if self.precision == INT8 and self.calibration_images is None:
            raise ValueError(
                "precision int8 is calibrated on images: set calibration_images to a folder of some hundred "
                "typical images"
            )
        return self

    @property
    def packed_modules(self) -> dict[str, Path]:
        """Files that the handler imports, by their path in the archive."""
        return {str(path_in_archive(module)): module for module in self.handler_modules}

    @property
    def archive_name(self) -> str:
        """`<name>-<version>.mar`: TorchServe takes a file name only once, so the version is part of it."""
        return f"{self.name}-{self.version}.mar"
