"""Parts of a model archive, as the archiver reads them from the project's settings.

Protocols, because settings import this package's checks and not the reverse.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class Checkpoint(Protocol):
    """The file: TorchScript, or a program of torch.export."""

    @property
    def path(self) -> Path:
        """Local file."""


class Preprocessing(Protocol):
    """Settings of `image_transform`; written to `preprocessing.json`."""

    @property
    def mean(self) -> Sequence[float]:
        """Mean per RGB channel, of values in 0..1."""

    @property
    def std(self) -> Sequence[float]:
        """Standard deviation per RGB channel."""

    def model_dump(self) -> dict[str, Any]:
        """All settings by name."""


class Sample(Protocol):
    """An image with its right answer."""

    @property
    def image(self) -> Path | None:
        """The image file; None for a request that is not an image."""

    @property
    def expected_class(self) -> str | None:
        """Its class; None if it is not known."""


class Tolerances(Protocol):
    """Limits of the differences between a converted network and its original."""

    @property
    def min_agreement(self) -> float:
        """Smallest share of images with the same class on top, 0 to 1."""

    @property
    def max_difference(self) -> float:
        """Largest difference of a probability."""

    @property
    def max_accuracy_loss(self) -> float:
        """Largest loss of accuracy on labelled images, 0 to 1."""


class ModelParts(Protocol):
    """A model and the files that make its archive."""

    @property
    def name(self) -> str:
        """Name under which TorchServe serves the model."""

    @property
    def version(self) -> str:
        """Version in the manifest."""

    @property
    def archive_name(self) -> str:
        """File name of the archive."""

    @property
    def labels(self) -> Sequence[str]:
        """Class names in the order of the network's outputs."""

    @property
    def weights(self) -> Checkpoint | None:
        """The checkpoint, if there is one."""

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint of a classifier."""

    @property
    def model_file(self) -> Path | None:
        """Python file with the network's class, for weights that are a state dict."""

    @property
    def handler(self) -> Path:
        """File with the handler, or the name of TorchServe's own."""

    @property
    def stock_handler(self) -> str | None:
        """Name of TorchServe's own handler; None for a file."""

    @property
    def handler_modules(self) -> Sequence[Path]:
        """Files that the handler imports."""

    @property
    def packed_modules(self) -> Mapping[str, Path]:
        """The same files by their path in the archive."""

    @property
    def extra_files(self) -> Sequence[Path]:
        """Files, and folders whose content is packed."""

    @property
    def requirements(self) -> Path | None:
        """Python packages that TorchServe installs for the model."""

    @property
    def model_config_file(self) -> Path | None:
        """The archive's model-config.yaml."""

    @property
    def is_classifier(self) -> bool:
        """Whether our own handler serves it."""

    @property
    def image(self) -> Preprocessing | None:
        """Preprocessing of images, if requests are images."""

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of a classifier."""

    @property
    def outputs(self) -> str | None:
        """Last layer of a classifier, see `network_outputs`; None if it is to be told apart."""

    @property
    def batch_size(self) -> int:
        """Largest batch that TorchServe hands to the handler, in images."""

    @property
    def engine(self) -> str:
        """Engine that computes the network, see `engine_choice`."""

    @property
    def precision(self) -> str:
        """Precision in which it computes."""

    @property
    def cuda_graphs(self) -> bool:
        """Whether workers on a GPU record the network, see `cuda_graphs`."""

    @property
    def samples(self) -> Sequence[Sample]:
        """Images with their right answers."""

    @property
    def calibration_images(self) -> Path | None:
        """Folder of images to calibrate with and to compare answers on; None for the samples alone."""

    @property
    def parity(self) -> Tolerances:
        """Limits of the differences from the original."""


class ArchiveRequest(Protocol):
    """The archive to build."""

    @property
    def model(self) -> ModelParts:
        """Model to pack."""

    @property
    def archive_path(self) -> Path:
        """File that the archive is written to."""

    @property
    def force(self) -> bool:
        """Whether to replace an archive of the same version with other content."""
