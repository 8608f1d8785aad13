"""Runs a network as a worker will, so that a network that cannot serve is found before it is packed.

TorchServe runs an image alone or in any batch; the answer must be the same.
"""

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ts_serialize.network_input import Expectation, images
from ts_serialize.network_outputs import PROBABILITIES, kind_of

logger = logging.getLogger(__name__)

# Relative to the largest logit. Rounding differs with the batch size, more so in reduced precision.
FLOAT32_TOLERANCE = 1e-3
REDUCED_TOLERANCE = 5e-2


class NetworkError(Exception):
    """The network cannot serve; the message continues a sentence that begins with the file's name."""


@dataclass(frozen=True)
class CheckedNetwork:
    """A network that can serve."""

    network: torch.nn.Module
    """In evaluation mode."""
    outputs: str
    """Kind of its outputs, see `network_outputs`."""


class NetworkCheck:
    """Runs a network in evaluation mode, as a worker does, on images alone, repeated, and in batches."""

    def __init__(self, network: torch.nn.Module, expected: Expectation, *, reduced: bool = False) -> None:
        """Takes a network.

        Args:
            network: TorchScript, or a module around another engine.
            expected: the requirements.
            reduced: whether it computes with fewer than 32 bits, whatever its parameters have.
        """
        self._saved_in_training = network.training
        self._network = network.eval()
        self._expected = expected
        reduced = reduced or bool(_dtypes(network) - {torch.float32, torch.float64})
        self._tolerance = REDUCED_TOLERANCE if reduced else FLOAT32_TOLERANCE

    def __call__(self) -> CheckedNetwork:
        """Checks the network.

        Raises:
            NetworkError: it does not run, answers no logits, or answers the same image differently.
        """
        probes = images(self._expected)
        first, again = (self._run(probes[:1]) for _ in range(2))
        if self._differ(first, again):
            raise NetworkError(
                f"answers the same image differently each time ({_apart(first, again)}), as dropout in "
                f"training mode does; {self._advice()}"
            )
        sizes = _sizes(self._expected.batch_size)
        outputs = torch.cat([again, *(self._check_batch(probes[:size], again) for size in sizes)])
        return CheckedNetwork(self._network, self._kind(outputs))

    def _kind(self, outputs: torch.Tensor) -> str:
        found, wanted = kind_of(outputs), self._expected.outputs
        if wanted == PROBABILITIES != found:
            sums = outputs.sum(dim=1)
            raise NetworkError(
                f"answers no probabilities: values from {outputs.min():.4g}, sums from {sums.min():.4g} to "
                f"{sums.max():.4g}; set model.outputs to logits, or leave it out"
            )
        if wanted is None and found == PROBABILITIES:
            logger.info("the network ends in a softmax; the handler applies no other")
        return wanted or found

    def _check_batch(self, images: torch.Tensor, alone: torch.Tensor) -> torch.Tensor:
        size = len(images)
        try:
            together = self._run(images)
        except NetworkError as exc:
            raise NetworkError(
                f"runs on 1 image but not on {size} at once, as a network traced with a fixed batch: use "
                "torch.jit.script, or torch.export with dynamic_shapes, write x.flatten(1) for "
                "x.view(1, -1), or set model.batch_size=1 "
                f"(on {size} it {exc})"
            ) from exc
        if self._differ(alone, together[:1]):
            raise NetworkError(
                f"answers an image differently with {size - 1} others in its batch "
                f"({_apart(alone, together[:1])}), as batch norm in training mode does; {self._advice()}"
            )
        return together

    def _run(self, images: torch.Tensor) -> torch.Tensor:
        try:
            with torch.inference_mode(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                output = self._network(images)
        # The model's own code may raise anything.
        except Exception as exc:
            reason = _reason(self._network, exc)
            raise NetworkError(f"does not run on an input of shape {tuple(images.shape)}: {reason}") from exc
        return _logits(output, len(images), self._expected.classes)

    def _differ(self, one: torch.Tensor, other: torch.Tensor) -> bool:
        return float((one - other).abs().max()) > self._tolerance * float(one.abs().max())

    def _advice(self) -> str:
        mode = "it was saved in training mode: " if self._saved_in_training else ""
        keep = "torch.jit.trace or torch.export, which keep the mode of the model"
        return f"{mode}call model.eval() before {keep}"


def _sizes(batch_size: int) -> Iterator[int]:
    """Sizes of a full batch and of a batch that max_batch_delay closes early."""
    if batch_size > 1:
        yield batch_size
    if batch_size > 2:
        yield batch_size - 1


def _logits(output: object, images: int, classes: int) -> torch.Tensor:
    if not isinstance(output, torch.Tensor):
        raise NetworkError(f"answers {_described(output)}, not one tensor of logits ({images}, {classes})")
    if tuple(output.shape) != (images, classes):
        asked = "one image" if images == 1 else f"{images} images"
        raise NetworkError(
            f"answers {tuple(output.shape)} to {asked}, the {classes} labels of the model want "
            f"({images}, {classes})"
        )
    if not output.is_floating_point():
        raise NetworkError(f"answers {output.dtype}; the handler wants logits, from before argmax")
    if not output.isfinite().all():
        raise NetworkError(
            "answers NaN or infinity: look at its weights, and at mean and std in the model's configuration"
        )
    return output.float()


def _described(output: object) -> str:
    if isinstance(output, tuple | list):
        return f"a {type(output).__name__} of {len(output)} (wrap the network to return model(x)[0])"
    if isinstance(output, dict):
        keys = ", ".join(map(str, output))
        return f"a dict with {keys} (wrap the network to return model(x)[{next(iter(output), '')!r}])"
    return f"a {type(output).__name__}"


def _apart(one: torch.Tensor, other: torch.Tensor) -> str:
    position = int((one - other).abs().argmax())
    return f"logit {one.flatten()[position]:.4g}, then {other.flatten()[position]:.4g}"


def _dtypes(network: torch.nn.Module) -> set[torch.dtype]:
    return {each.dtype for each in network.parameters() if each.is_floating_point()}


def _reason(network: torch.nn.Module, exc: Exception) -> str:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()] or [type(exc).__name__]
    # TorchScript puts the reason after its own traceback.
    said = next((line for line in reversed(lines) if "Error: " in line), lines[0])
    if isinstance(network, torch.jit.ScriptModule) and 'value="cuda' in str(network.inlined_graph):
        return (
            "its code names the device cuda, and there is none here: trace it on the CPU, with tensors made "
            f"on the input's device (torch.zeros(..., device=x.device)) ({said})"
        )
    other = sorted(str(each) for each in _dtypes(network) - {torch.float32})
    if other:
        return f"its weights are {', '.join(other)}, the handler's input is torch.float32: save model.float()"
    return said
