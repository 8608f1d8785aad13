"""Looks into a file with a model: what it is, its input, its classes. No code of a foreign pickle runs."""

from dataclasses import dataclass
from pathlib import Path

import torch

from torchserve_gateway.onboarding.architecture import network_of
from torchserve_gateway.onboarding.errors import OnboardingError
from torchserve_gateway.onboarding.probing import Input, Probed, probed
from torchserve_gateway.onboarding.source import shown
from torchserve_gateway.onboarding.state_dicts import Weights, weights_in
from torchserve_gateway.onboarding.traced_input import is_traced, traced_shape
from ts_serialize.checkpoint_kinds import EXPORTED, ZIP_MEMBERS, other_kind
from ts_serialize.engine_choice import TORCH_EXPORT, TORCHSCRIPT
from ts_serialize.network_check import NetworkCheck, NetworkError
from ts_serialize.network_input import Expectation
from ts_serialize.torchscript import loaded

ARCHIVE = ZIP_MEMBERS["MANIFEST.json"]


@dataclass(frozen=True)
class Found:
    """A network that can be served."""

    network: torch.nn.Module
    """In evaluation mode, in float32."""
    engine: str
    """Engine that takes the file."""
    as_it_is: bool
    """Whether the file itself can be packed; False: TorchScript has to be made of the network."""
    input: Input
    """Its input."""
    outputs: int
    """Numbers that it answers per image."""
    batches: bool
    """Whether it takes several images at once."""
    lines: tuple[str, ...]
    """Findings, for people."""


@dataclass(frozen=True)
class _Opened:
    network: torch.nn.Module
    kind: str
    engine: str = TORCHSCRIPT
    as_it_is: bool = True
    example: tuple[int, ...] | None = None


def inspect_file(file: Path, size: tuple[int, int] | None, architecture: Path | None) -> Found:
    """Looks into a file.

    Args:
        file: the model.
        size: height and width of the input, if the caller names it.
        architecture: Python file that defines the network of weights without a network.

    Raises:
        OnboardingError: it cannot be served as it is.
    """
    try:
        opened = _opened(file, architecture)
    except (OSError, RuntimeError, ValueError) as exc:
        reason = f"{shown(file)} cannot be loaded by torch {torch.__version__}: {_first_line(exc)}"
        raise OnboardingError(reason) from exc
    others = sorted({str(each.dtype) for each in _floats(opened.network) if each.dtype != torch.float32})
    trained = opened.network.training and opened.engine == TORCHSCRIPT
    network = opened.network.float() if others else opened.network
    network = network if opened.engine == TORCH_EXPORT else network.eval()
    try:
        seen = probed(network, size, opened.example)
        outputs = _outputs(network, seen)
    except NetworkError as exc:
        raise OnboardingError(f"{shown(file)} ({opened.kind}) {exc}") from exc
    except OnboardingError as exc:
        raise OnboardingError(f"{shown(file)} ({opened.kind}) {exc}", **exc.options) from exc
    shape = f"{seen.input.channels} x {seen.input.height} x {seen.input.width}"
    lines = [
        f"{file.name}: {opened.kind}",
        f"input: {shape}, {seen.input.origin}",
        f"output: {outputs} numbers per image",
    ]
    if others:
        lines.append(f"weights: {', '.join(others)}; converted to float32, which the handler computes with")
    if trained:
        lines.append("saved in training mode; served in evaluation mode")
    if not seen.batches:
        lines.append("it takes one image at a time, as a network traced with a fixed batch: batch_size is 1")
    as_it_is = opened.as_it_is and not others
    return Found(network, opened.engine, as_it_is, seen.input, outputs, seen.batches, tuple(lines))


def _opened(file: Path, architecture: Path | None) -> _Opened:
    if not file.exists():
        raise OnboardingError(f"{shown(file)} does not exist")
    kind = other_kind(file)
    if kind is None:
        example = traced_shape(file)
        made = f"traced on an example of shape {example}" if example else "scripted"
        made = made if example or not is_traced(file) else "traced"
        return _Opened(loaded(file), f"TorchScript, {made}", example=example)
    if kind == EXPORTED:
        return _exported(file)
    if kind == ARCHIVE:
        raise OnboardingError(
            f"{shown(file)} is a model archive already, which needs no description: make upload_model "
            f"MAR={shown(file)} deploys it as it is"
        )
    weights = weights_in(file)
    if weights is None:
        # The remedy is written for those who edit the model's file.
        remedy = kind.replace("set model.weights.path to it", "serve that file")
        raise OnboardingError(f"{shown(file)} is {remedy}")
    return _built(file, weights, architecture)


def _exported(file: Path) -> _Opened:
    program = torch.export.load(file)
    inputs = set(program.graph_signature.user_inputs)
    shapes = [node.meta["val"].shape for node in program.graph.nodes if node.name in inputs]
    # Dimensions that may vary are symbols; the batch is the first.
    example = tuple(each if isinstance(each, int) else 1 for each in shapes[0]) if shapes else None
    varies = bool(shapes) and any(not isinstance(each, int) for each in shapes[0][1:])
    kind = "a program of torch.export (.pt2)"
    return _Opened(program.module(), kind, TORCH_EXPORT, example=None if varies else example)


def _built(file: Path, weights: Weights, architecture: Path | None) -> _Opened:
    if architecture is None:
        names = ", ".join(list(weights.tensors)[:2])
        raise OnboardingError(
            f"{shown(file)} is {weights.kind} ({names} ...): name the Python file with its torch.nn.Module "
            "class, which takes no arguments",
            architecture="network.py",
        )
    network = network_of(architecture, weights.tensors)
    kind = f"{weights.kind}; network: {type(network).__name__} of {architecture.name}"
    return _Opened(network, kind, as_it_is=False)


def _outputs(network: torch.nn.Module, seen: Probed) -> int:
    """Numbers of the answer to one image.

    Raises:
        OnboardingError, NetworkError: it is no row of numbers; the message continues after the file's name.
    """
    answer = seen.answer
    if isinstance(answer, torch.Tensor) and answer.dim() == 2 and answer.is_floating_point():
        return int(answer.shape[1])
    if isinstance(answer, torch.Tensor) and answer.is_floating_point():
        shape = tuple(answer.shape)
        raise OnboardingError(
            f"answers a tensor of shape {shape} to an image: the handler of classifiers takes one row of "
            "numbers, (1, classes); other models bring a handler of their own, see docs/own-model.md"
        )
    shape = (seen.input.height, seen.input.width)
    NetworkCheck(network, Expectation(shape, (0.5,) * 3, (0.5,) * 3, 1, 1))()
    raise OnboardingError(f"answers {type(answer).__name__}, not one row of numbers per image")


def _floats(network: torch.nn.Module) -> list[torch.Tensor]:
    return [each for each in network.parameters() if each.is_floating_point()]


def _first_line(exc: Exception) -> str:
    return next((line.strip() for line in str(exc).splitlines() if line.strip()), type(exc).__name__)
