"""Imports the optional packages of conversions."""

import importlib
import sys
from typing import Any

from ts_serialize.conversion.errors import ConversionError


def optional_package(name: str) -> Any:
    """Imports a package of the extra `conversion`.

    Raises:
        ConversionError: it is not installed.
    """
    # OpenVINO and NNCF report conversions to their maker over this package unless it is missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        raise ConversionError(
            f"the package {exc.name} is not installed; install the extra conversion: make install_engines, "
            "or pip install 'torchserve-gateway[conversion]'"
        ) from exc
