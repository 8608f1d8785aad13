"""Fetches a checkpoint: any URL fsspec reads, verified, never half in place."""

import logging
from pathlib import Path

from torchserve_gateway.downloads import DownloadError, download, sha256, without_credentials
from torchserve_gateway.settings.model import WeightsSettings

logger = logging.getLogger(__name__)


class WeightsError(Exception):
    """The checkpoint could not be fetched or is not the expected one; a file that was there is untouched."""


def fetch_weights(weights: WeightsSettings) -> Path:
    """Makes sure that the configured checkpoint lies at `weights.path`.

    Raises:
        WeightsError: no source, no connection, no disk, or another checksum than configured.
    """
    try:
        if weights.path.exists() and weights.sha256 in (None, sha256(weights.path)):
            logger.debug("%s is there, nothing to fetch", weights.path.name)
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
        raise WeightsError(f"{exc}; the next run goes on where this one stopped") from exc
    logger.info("fetched %s into %s", without_credentials(weights.url), weights.path)
    return weights.path


def _no_source(weights: WeightsSettings) -> str:
    if weights.path.exists():
        return (
            f"{weights.path} has sha256 {sha256(weights.path)}, the configuration expects {weights.sha256}, "
            "and model.weights.url is null, so there is nowhere to fetch it from"
        )
    return (
        f"{weights.path} is missing and model.weights.url is null: set the URL and its sha256, "
        "or make the demo checkpoint with `make train`"
    )
