"""Runs a network on images of usual sizes, to learn its input size, channels and number of classes."""

import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from torchserve_gateway.onboarding.errors import OnboardingError

# Height and width; the first also stands for "any".
USUAL_SIZES = (
    *((224, 224), (28, 28), (32, 32), (64, 64), (128, 128), (192, 128), (256, 256), (299, 299), (384, 384)),
)
# No network is made for both this size and the usual size.
ODD_SIZE = (192, 128)
GIVE_UP_S = 60.0
SEED = 10


@dataclass(frozen=True)
class Input:
    """The input of a network."""

    channels: int
    """3 for colour, 1 for grey."""
    height: int
    """Height in pixels."""
    width: int
    """Width in pixels."""
    origin: str
    """How it is known, for people."""
    guessed: bool
    """Whether another size would do as well."""


@dataclass(frozen=True)
class Probed:
    """A network's input, and its answer to it."""

    input: Input
    answer: object
    """Answer to one image."""
    batches: bool
    """Whether it also answers two images at once."""


def probed(network: torch.nn.Module, asked: tuple[int, int] | None, traced: tuple[int, ...] | None) -> Probed:
    """Finds an input that the network takes.

    Args:
        network: in evaluation mode.
        asked: height and width that the caller names.
        traced: shape of the example with which it was traced.

    Raises:
        OnboardingError: it takes none of the usual sizes, or runs for more than a minute.
    """
    found: list[Probed | OnboardingError] = []

    def search() -> None:
        try:
            found.append(_search(network, asked, traced))
        except OnboardingError as exc:
            found.append(exc)

    # A network cannot be interrupted; a thread that goes on does not keep the command from ending.
    thread = threading.Thread(target=search, daemon=True)
    thread.start()
    thread.join(GIVE_UP_S)
    if not found:
        raise OnboardingError(f"does not answer within {GIVE_UP_S:g} s; give its input size", image="224")
    [result] = found
    if isinstance(result, OnboardingError):
        raise result
    return result


def _search(
    network: torch.nn.Module, asked: tuple[int, int] | None, traced: tuple[int, ...] | None
) -> Probed:
    last: Exception | None = None
    for candidate in _candidates(network, asked, traced):
        try:
            answer = _answer(network, candidate, 1)
        # The network's own code may raise anything.
        except Exception as exc:  # noqa: BLE001
            last = exc
            continue
        return Probed(_judged(network, candidate), answer, batches=_runs(network, candidate, 2))
    if traced and len(traced) == 4 and not asked:
        batch = traced[0]
        recorded = Input(*traced[1:], origin="", guessed=False)
        if batch > 1 and _runs(network, recorded, batch):
            raise OnboardingError(
                f"was made with a fixed batch: it runs on {batch} images at once and on no other number; "
                f"make it again on one image, with x.flatten(1) for x.view({batch}, -1), or by "
                "torch.jit.script, or by torch.export with dynamic_shapes"
            )
    raise _none_fits(asked, last)


def _candidates(
    network: torch.nn.Module, asked: tuple[int, int] | None, traced: tuple[int, ...] | None
) -> Iterator[Input]:
    channels = _channels(network)
    if asked:
        yield from (Input(each, *asked, "as you said", guessed=False) for each in channels)
        return
    if traced and len(traced) == 4:
        yield Input(*traced[1:], origin="recorded in the file", guessed=False)
    for size in USUAL_SIZES:
        for each in channels:
            yield Input(each, *size, "found by trying usual sizes", guessed=False)


def _channels(network: torch.nn.Module) -> tuple[int, ...]:
    """Channels to try: those of the first convolution, else colour and grey."""
    first = next((each for each in network.parameters() if each.dim() == 4), None)
    return (first.shape[1],) if first is not None and first.shape[1] in (1, 3, 4) else (3, 1)


def _judged(network: torch.nn.Module, found: Input) -> Input:
    """Says whether a size that was found first among the usual sizes is the only one."""
    is_first = (found.height, found.width) == USUAL_SIZES[0] and found.origin.startswith("found")
    other = Input(found.channels, *ODD_SIZE, origin="", guessed=False)
    if not is_first or not _runs(network, other, 1):
        return found
    origin = "a guess: it takes any size, and most are trained on this size"
    return Input(found.channels, found.height, found.width, origin, guessed=True)


def _runs(network: torch.nn.Module, on: Input, images: int) -> bool:
    try:
        answer = _answer(network, on, images)
    # As in `_search`.
    except Exception:  # noqa: BLE001
        return False
    return not isinstance(answer, torch.Tensor) or answer.shape[:1] == (images,)


def _answer(network: torch.nn.Module, on: Input, images: int) -> object:
    generator = torch.Generator().manual_seed(SEED)
    image = torch.rand((images, on.channels, on.height, on.width), generator=generator)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return network(image)


def _none_fits(asked: tuple[int, int] | None, last: Exception | None) -> OnboardingError:
    lines = [line.strip() for line in str(last).splitlines() if line.strip()] or [type(last).__name__]
    # TorchScript puts the reason after its own traceback.
    reason = next((line for line in reversed(lines) if "Error: " in line), lines[0])
    if asked:
        return OnboardingError(f"does not run on images of {asked[0]} x {asked[1]} pixels: {reason}")
    sizes = ", ".join(f"{height}x{width}" for height, width in USUAL_SIZES)
    return OnboardingError(
        f"runs on none of the usual sizes ({sizes}; on the last it says: {reason}); give its input size in "
        "pixels, 96 or 96x160 (height x width)",
        image="96",
    )
