"""Registers torchvision's operators for the files that use them. Part of the model archive."""

from collections.abc import Callable
from typing import TypeVar

Loaded = TypeVar("Loaded")

# Of torch.jit.load, which names the operator, and of torch.export.load, which does not.
LACKS_OPERATORS = ("torchvision::", "error when deserializing the saved file")


def with_operators(load: Callable[[], Loaded]) -> Loaded:
    """Calls `load`, again with torchvision imported if torch lacks operators.

    The import takes more than a second and 160 MB of each worker, so that most models do without it.
    """
    try:
        return load()
    except RuntimeError as exc:
        if not any(each in str(exc) for each in LACKS_OPERATORS):
            raise
        import torchvision  # noqa: F401, PLC0415

        return load()
