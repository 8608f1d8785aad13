"""The settings of one model, `config/model/<name>.yaml`; defaults are in `config/model_defaults.yaml`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from torchserve_gateway.settings.composition import (
    ConfigurationError,
    ResourcePath,
    Settings,
    path_in_archive,
)
from torchserve_gateway.settings.engine import ParitySettings
from torchserve_gateway.settings.model_parts.handlers import (
    OWN_HANDLER,
    STOCK_HANDLERS,
    found_handler,
    is_own_handler,
    own_modules,
)
from torchserve_gateway.settings.model_parts.image import ImageSettings
from torchserve_gateway.settings.model_parts.labels import read_labels, refuse_twice
from torchserve_gateway.settings.model_parts.limits import LimitSettings
from torchserve_gateway.settings.model_parts.names import ModelName, ModelVersion
from torchserve_gateway.settings.model_parts.samples import SampleSettings
from torchserve_gateway.settings.model_parts.weights import WeightsSettings
from ts_serialize.engine_choice import INT8, check_choice, engine_module, keeps_checkpoint


class ModelSettings(Settings):
    """One served model."""

    name: ModelName
    """The name in `/predictions/<name>`."""
    version: ModelVersion
    """Text, as TorchServe takes it."""
    labels: Annotated[list[str], BeforeValidator(read_labels)] = Field([])
    """Class names in the order of the network's outputs; empty: no classes."""
    weights: WeightsSettings | None = None
    """The checkpoint; None: the handler has all it needs."""
    model_file: ResourcePath | None = None
    """Python file with the network's class, for weights that are a state dict."""
    handler: Annotated[Path, AfterValidator(found_handler)] = Field(OWN_HANDLER, validate_default=True)
    """The Python file that TorchServe's workers run, or the name of a stock handler."""
    handler_modules: list[ResourcePath] = Field([], validate_default=True)
    """Files that the handler imports, packed under their path in the working folder or in the package.

    Default: those of `ts_serialize`; they are packed in any case.
    """
    extra_files: list[ResourcePath] = Field([])
    """Files, and folders whose content is packed, for the archive's top folder."""
    requirements: ResourcePath | None = None
    """Python packages that TorchServe installs for this model."""
    model_config_file: ResourcePath | None = None
    """The archive's model-config.yaml."""
    image: ImageSettings | None = None
    """Preprocessing of images; None: requests are not images."""
    outputs: Literal["logits", "probabilities"] | None = None
    """Last layer of the network; None: told apart when the archive is built."""
    engine: Literal["torchscript", "torch_export", "openvino", "onnxruntime"] = "torchscript"
    """Engine that computes the network in the workers."""
    precision: Literal["fp32", "bf16", "fp16", "int8"] = "fp32"
    """Precision in which it computes."""
    cuda_graphs: bool = False
    """Whether a worker on a GPU records the network for each batch size; without a GPU it does nothing."""
    calibration_images: ResourcePath | None = None
    """Folder of images for int8's calibration and the comparison with the original; None: samples alone."""
    parity: ParitySettings = ParitySettings()
    """Limits of the differences from the original."""
    samples: list[SampleSettings] = Field([])
    """Requests that a new version must answer right."""
    sample_tolerance: Annotated[float, Field(ge=0)] = 0.05
    """Largest difference from a number in a sample's answer."""
    batch_size: PositiveInt = 8
    """Largest batch, requests."""
    max_batch_delay: Annotated[int, Field(ge=0)] = 20
    """Milliseconds that a batch is collected at most."""
    workers: PositiveInt | None = None
    """Worker processes; None: one per core."""
    response_timeout: PositiveInt = 30
    """Seconds a batch may take; then TorchServe kills the worker."""
    startup_timeout: PositiveInt = 120
    """Seconds a worker may take to load the model."""
    limits: LimitSettings = LimitSettings()
    """The gateway's limits for this model."""
    idempotent: bool = True
    """Whether a request may be sent again after an error of the handler."""

    @field_validator("handler_modules", mode="before")
    @classmethod
    def _modules_of_ours(cls, modules: object, info: ValidationInfo) -> object:
        return modules or own_modules([info.data.get("handler", OWN_HANDLER)])

    @field_validator("handler_modules")
    @classmethod
    def _modules_have_import_paths(cls, modules: list[Path]) -> list[Path]:
        for module in modules:
            path_in_archive(module)
        return modules

    @model_validator(mode="after")
    def _engine_has_the_precision(self) -> Self:
        check_choice(self.engine, self.precision, self.cuda_graphs)
        if self.precision == INT8 and self.calibration_images is None:
            raise ValueError(
                "precision int8 is calibrated on images: set calibration_images to a folder of some hundred "
                "typical images"
            )
        return self

    @model_validator(mode="after")
    def _own_handler_has_its_parts(self) -> Self:
        if not self.is_classifier:
            return self
        missing = [name for name in ("labels", "image", "weights") if not getattr(self, name)]
        if missing:
            raise ValueError(
                f"handler {OWN_HANDLER} classifies images with labels, image and weights, and "
                f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set; set all, or "
                f"another handler: your own .py file, or TorchServe's {', '.join(STOCK_HANDLERS)}"
            )
        refuse_twice(self.labels)
        if self.model_file and not self.is_unconverted:
            raise ValueError(
                f"engine {self.engine} in {self.precision} converts TorchScript, and model_file = "
                f"{self.model_file.name} makes an eager network; set engine torchscript and precision fp32"
            )
        return self

    @model_validator(mode="after")
    def _other_handlers_do_without(self) -> Self:
        if self.is_classifier:
            return self
        if not self.is_unconverted or self.outputs or self.cuda_graphs:
            raise ValueError(
                f"engine, precision, cuda_graphs and outputs are for handler {OWN_HANDLER}, and "
                f"{self.handler.name} loads the network itself; set engine torchscript, precision fp32, "
                "cuda_graphs false and outputs null"
            )
        if self.stock_handler and not (self.weights or self.model_file):
            raise ValueError(
                f"TorchServe's {self.handler} loads TorchScript, or a state dict with model_file, and "
                "weights is null; set weights.path"
            )
        return self

    @property
    def stock_handler(self) -> str | None:
        """Name of TorchServe's own handler; None for a file."""
        return str(self.handler) if str(self.handler) in STOCK_HANDLERS else None

    @property
    def is_classifier(self) -> bool:
        """Whether our own handler serves it; then labels, image and weights are set."""
        return is_own_handler(self.handler)

    @property
    def is_unconverted(self) -> bool:
        """Whether the network is packed as it is."""
        return keeps_checkpoint(self.engine, self.precision)

    @property
    def preprocessing(self) -> ImageSettings:
        """Settings of images, for commands that need them.

        Raises:
            ConfigurationError: the model has none.
        """
        if self.image is None:
            raise ConfigurationError(f"model.image of {self.name} is null: its requests are not images")
        return self.image

    @property
    def checkpoint(self) -> WeightsSettings:
        """The weights, for commands that need them.

        Raises:
            ConfigurationError: the model has none.
        """
        if self.weights is None:
            raise ConfigurationError(f"model.weights of {self.name} is null: its handler has all it needs")
        return self.weights

    @property
    def packed_modules(self) -> dict[str, Path]:
        """Files that the handler imports, by their path in the archive."""
        engine = () if self.is_unconverted else (engine_module(self.engine),)
        modules = {*self.handler_modules, *own_modules([self.handler, *self.handler_modules, *engine])}
        return {str(path_in_archive(module)): module for module in sorted(modules)}

    @property
    def archive_name(self) -> str:
        """`<name>-<version>.mar`: TorchServe takes a file name only once, so the version is part of it."""
        return f"{self.name}-{self.version}.mar"
