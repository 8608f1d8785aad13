"""Failures of a deploy.

DeploymentError             (record/errors.py)
  ModelStoreError             the archive is missing, or the model store does not take it
  ArchiveRefusedError         the archive failed a check: address, checksum, size, version, model-config.yaml
"""

from torchserve_gateway.record.errors import DeploymentError


class ModelStoreError(DeploymentError):
    """The archive is missing, or the model store does not take it."""


class ArchiveRefusedError(DeploymentError):
    """The archive failed a check, so TorchServe does not get it."""
