"""What ends a deploy.

DeploymentError             what served before still serves, unless the message says otherwise
  ModelStoreError             the archive or the model store cannot be used
  ArchiveRefusedError         not fetched: address not allowed, no or a wrong checksum, no connection
  RecordError                 the record of what is deployed is damaged or cannot be written
"""


class DeploymentError(Exception):
    """The deploy failed; the message says why and what serves now."""


class ModelStoreError(DeploymentError):
    """The archive is missing, or the model store cannot take it."""


class ArchiveRefusedError(DeploymentError):
    """The archive behind a URL was not taken."""


class RecordError(DeploymentError):
    """The record of what is deployed cannot be read or written."""
