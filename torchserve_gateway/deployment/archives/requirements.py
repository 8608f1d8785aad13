"""Python packages that an archive needs (`torch-model-archiver --requirements-file`).

TorchServe 0.12.0 installs them into the model's folder, if `install_py_dep_per_model` is true; by default it
ignores the file, and the workers die of ModuleNotFoundError.
"""

import logging
import zipfile
from pathlib import Path

from torchserve_gateway.record.manifest import model_in
from torchserve_gateway.settings.torchserve import TorchServeSettings

logger = logging.getLogger(__name__)

INSTALLS = "install_py_dep_per_model"


def requirements_of(archive: Path) -> str | None:
    """Name of the requirements file in an archive; None if it has none.

    Raises:
        any of `manifest.UNREADABLE`: no valid archive.
    """
    with zipfile.ZipFile(archive) as content:
        name = model_in(content).get("requirementsFile")
    return str(name) if name else None


def warn_unless_installed(version: str, requirements: str | None, settings: TorchServeSettings) -> None:
    """Logs that TorchServe will ignore the requirements of an archive.

    Args:
        version: name and version of the model in the message.
        requirements: name of the file; None: nothing to install.
        settings: TorchServe's properties.
    """
    installs = str(settings.properties.get(INSTALLS, False)).lower() == "true"
    if requirements and not installs:
        logger.warning(
            "%s has %s, and torchserve.properties.%s is not true: TorchServe installs nothing, and the "
            "workers die unless the packages are there already; to have them installed, set it to true and "
            "restart TorchServe (make down, make up)",
            version,
            requirements,
            INSTALLS,
        )
