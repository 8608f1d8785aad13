"""Failures of a deploy.

DeploymentError             (record/errors.py)
  ArchiveBuildError           the archive cannot be built from the model's parts
  ArchiveRefusedError         the archive failed a check: address, checksum, size, version, model-config.yaml
  ModelStoreError             the archive is missing, or the model store does not take it
  TrialFailedError            the version failed its canary or shadow trial, or had too few requests
"""

from torchserve_gateway.record.errors import DeploymentError


class ArchiveBuildError(DeploymentError):
    """The archive cannot be built from the model's parts."""


class ArchiveRefusedError(DeploymentError):
    """The archive failed a check, so TorchServe does not get it."""


class ModelStoreError(DeploymentError):
    """The archive is missing, or the model store does not take it."""


class TrialFailedError(DeploymentError):
    """The new version failed its bounds, or had too few requests to be judged."""
