"""The gateway in front of stock TorchServe, the deployer, and the commands of both."""

from torchserve_gateway.version import __version__

__all__ = ["__version__"]
