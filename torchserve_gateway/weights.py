"""Downloads a checkpoint from any URL that fsspec reads, verifies it and puts it in place atomically."""

import logging
from pathlib import Path

from torchserve_gateway.downloads import DownloadError, download, sha256, without_credentials
from torchserve_gateway.settings.model_parts.weights import WeightsSettings

logger = logging.getLogger(__name__)


class WeightsError(Exception):
    """The checkpoint cannot be downloaded or has another checksum; an existing file is unchanged."""


def fetch_weights(weights: WeightsSettings) -> Path:
    """Downloads the configured checkpoint, unless it exists.

    Returns:
        `weights.path`.

    Raises:
        WeightsError: no source, no connection, no disk space, or another checksum than configured.
    """
    try:
        if weights.path.exists() and weights.sha256 in (None, sha256(weights.path)):
            logger.debug("%s exists, nothing to download", weights.path.name)
            return weights.path
        if weights.url is None:
            raise WeightsError(_no_source(weights))
    except OSError as exc:
        raise WeightsError(f"{weights.path} cannot be read: {exc}") from exc
    part = weights.path.with_name(weights.path.name + ".part")
    try:
        download(weights.url, part)
        digest = sha256(part)
        if digest != weights.sha256:
            part.unlink()
            raise WeightsError(
                f"{without_credentials(weights.url)} has sha256 {digest}, "
                f"the configuration expects {weights.sha256}; {weights.path} is unchanged"
            )
        part.replace(weights.path)
    except (DownloadError, OSError) as exc:
        raise WeightsError(f"{exc}; the next run resumes the download") from exc
    logger.info("fetched %s into %s", without_credentials(weights.url), weights.path)
    return weights.path


def _no_source(weights: WeightsSettings) -> str:
    if weights.path.exists():
        return (
            f"{weights.path} has sha256 {sha256(weights.path)}, the configuration expects {weights.sha256}, "
            "and model.weights.url is null, so there is no source to download it from"
        )
    return (
        f"{weights.path} is missing and model.weights.url is null: set the URL and its sha256, "
        "or make the demo checkpoint with `make train`"
    )
