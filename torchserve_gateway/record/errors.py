"""Failures that deployer, gateway and a starting TorchServe share.

DeploymentError             the deployed versions keep serving, unless the message says otherwise
  RecordError                 the record of deployed versions is damaged or not writable
"""


class DeploymentError(Exception):
    """The deploy failed; the message says why and which version serves."""


class RecordError(DeploymentError):
    """The record of deployed versions cannot be read or written."""
