"""A network from the caller's own Python file and weights, and TorchScript of it.

The file is the caller's own and named by the caller, so it is imported and its class is instantiated.
"""

import importlib.util
import inspect
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch

from torchserve_gateway.onboarding.errors import OnboardingError
from ts_serialize.torchscript import without_deprecation

MAX_SHOWN = 3
WANTED = "a torch.nn.Module class that takes no arguments"


def network_of(architecture: Path, tensors: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """The network that the file defines, with these weights, in evaluation mode and float32.

    A file with several such classes has one that fits the weights.

    Raises:
        OnboardingError: the file does not run, has no such class, or none that fits the weights.
    """
    networks = [_made(each, architecture) for each in _classes(architecture)]
    for network in networks:
        if weights := _named_as(network, tensors):
            try:
                network.load_state_dict(weights)
            except RuntimeError as exc:
                raise OnboardingError(
                    f"the weights do not fit {type(network).__name__} of {architecture}: {_sizes(exc)}"
                ) from exc
            return network.float().eval()
    raise OnboardingError(_misfit(networks[-1], architecture, tensors))


def as_torchscript(network: torch.nn.Module, shape: tuple[int, int, int]) -> torch.jit.ScriptModule:
    """The network scripted, or traced on two images where it cannot be scripted.

    Raises:
        OnboardingError: it can be neither.
    """
    if isinstance(network, torch.jit.ScriptModule):
        return network
    with without_deprecation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            scripted: torch.jit.ScriptModule = torch.jit.script(network)
        # The compiler refuses in many ways.
        except Exception:  # noqa: BLE001
            try:
                return torch.jit.trace(network, torch.zeros(2, *shape), check_trace=False)  # type: ignore[no-any-return, no-untyped-call]
            except Exception as exc:
                raise OnboardingError(
                    f"{type(network).__name__} can be neither scripted nor traced: {exc}"
                ) from exc
        return scripted


def _classes(architecture: Path) -> list[type[torch.nn.Module]]:
    module = _imported(architecture)
    own = [
        each
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, torch.nn.Module) and each.__module__ == module.__name__
    ]
    ready = [each for each in own if not _required(each)]
    if not ready:
        found = "; ".join(f"{each.__name__} takes {', '.join(_required(each))}" for each in own)
        raise OnboardingError(f"{architecture} needs {WANTED} ({found or 'it has no class'})")
    return ready


def _required(network: type[torch.nn.Module]) -> list[str]:
    parameters = list(inspect.signature(network).parameters.values())
    return [
        each.name
        for each in parameters
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]


def _imported(architecture: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(architecture.stem, architecture)
    if not architecture.is_file() or spec is None or spec.loader is None:
        raise OnboardingError(f"{architecture} is no Python file; it needs {WANTED}")
    module = importlib.util.module_from_spec(spec)
    with _importable(architecture, module):
        try:
            spec.loader.exec_module(module)
        # The caller's own code may raise anything.
        except Exception as exc:
            raise OnboardingError(f"{architecture} fails: {type(exc).__name__}: {exc}") from exc
    return module


@contextmanager
def _importable(architecture: Path, module: ModuleType) -> Iterator[None]:
    """Lets the file import its neighbours, and dataclasses in it find their module."""
    folder = str(architecture.resolve().parent)
    sys.path.insert(0, folder)
    before = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module
    try:
        yield
    finally:
        sys.path.remove(folder)
        if before is not None:
            sys.modules[module.__name__] = before


def _made(network: type[torch.nn.Module], architecture: Path) -> torch.nn.Module:
    try:
        return network()
    # As in `_imported`.
    except Exception as exc:
        raise OnboardingError(
            f"{network.__name__}() of {architecture} fails: {type(exc).__name__}: {exc}"
        ) from exc


def _named_as(network: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors by the network's own names; empty if they differ.

    torch.compile, DataParallel and Lightning put a prefix before each name.
    """
    wanted, stripped = set(network.state_dict()), dict(tensors)
    while stripped:
        if set(stripped) == wanted:
            return stripped
        prefixes = {name.partition(".")[0] for name in stripped if "." in name}
        if len(prefixes) != 1 or any("." not in name for name in stripped):
            return {}
        stripped = {name.partition(".")[2]: tensor for name, tensor in stripped.items()}
    return {}


def _misfit(network: torch.nn.Module, architecture: Path, tensors: Mapping[str, torch.Tensor]) -> str:
    own = set(network.state_dict())
    missing, surplus = sorted(own - set(tensors)), sorted(set(tensors) - own)
    said = [
        f"{what} {', '.join(names[:MAX_SHOWN])}{' ...' if len(names) > MAX_SHOWN else ''}"
        for what, names in (("the file lacks", missing), ("the network lacks", surplus))
        if names
    ]
    return (
        f"the weights are not those of {type(network).__name__} in {architecture}: {'; '.join(said)}; name "
        "the file that the training used"
    )


def _sizes(exc: Exception) -> str:
    lines = [line.strip() for line in str(exc).splitlines()[1:] if line.strip()]
    return "; ".join(lines[:MAX_SHOWN]) or str(exc)
