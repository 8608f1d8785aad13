"""The gateway's own limits and checks by model."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from torchserve_gateway.settings.gateway import GatewaySettings
from torchserve_gateway.settings.model import ModelSettings
from torchserve_gateway.settings.project import ProjectSettings


@dataclass(frozen=True, slots=True)
class ServedModel:
    """Limits and checks of one model's requests."""

    deadline_s: float
    """Seconds from a request's first byte to its answer."""
    max_request_bytes: int
    """Bytes of a request's body, of one input of a batch."""
    max_in_flight: int | None
    """Requests at TorchServe at once; None: as `gateway.admission` says."""
    workers: int
    """Workers as configured, until the record names their number."""
    batch_size: int
    """Batch size as configured, until the record names it."""
    max_pixels: int | None
    """Pixels of an image; None: requests pass unchecked."""
    labels: tuple[str, ...] | None
    """Classes of a classifier, empty for another model; None: not known."""
    answers_all_classes: bool
    """Whether each answer has all classes, as those of our own handler."""

    @property
    def takes_any_input(self) -> bool:
        """Whether its inputs are known to be no images."""
        return self.labels is not None and self.max_pixels is None

    @classmethod
    def of(cls, gateway: GatewaySettings, model: ModelSettings) -> "ServedModel":
        """The limits of a model with a file in config/model/."""
        own = model.limits
        return cls(
            deadline_s=own.deadline_s or gateway.deadline_s,
            max_request_bytes=own.max_request_bytes or gateway.max_request_bytes,
            max_in_flight=own.max_in_flight,
            workers=model.workers or len(os.sched_getaffinity(0)),
            batch_size=model.batch_size,
            max_pixels=model.image.max_pixels if model.image else None,
            labels=tuple(model.labels),
            answers_all_classes=model.is_classifier,
        )

    @classmethod
    def unknown(cls, gateway: GatewaySettings, like: ModelSettings) -> "ServedModel":
        """The limits of a model without a file, with workers as another model has them."""
        return cls(
            deadline_s=gateway.deadline_s,
            max_request_bytes=gateway.max_request_bytes,
            max_in_flight=None,
            workers=like.workers or len(os.sched_getaffinity(0)),
            batch_size=like.batch_size,
            max_pixels=None,
            labels=None,
            answers_all_classes=False,
        )


class ServedModels:
    """Models with a file in config/model/; all others share the gateway's limits and pass unchecked."""

    def __init__(self, settings: ProjectSettings) -> None:
        self._others = ServedModel.unknown(settings.gateway, settings.model)
        self.configured: Mapping[str, ServedModel] = {
            name: ServedModel.of(settings.gateway, model) for name, model in settings.models.items()
        }
        """By name, the chosen model first."""

    @property
    def first(self) -> ServedModel:
        """The limits of the chosen model."""
        return next(iter(self.configured.values()))

    def of(self, model: str) -> ServedModel:
        """The limits of a model, by its name as in a path."""
        return self.configured.get(model, self._others)

    def deadline_s(self, model: str) -> float:
        """The longest time that a request of the model may take."""
        return self.of(model).deadline_s
