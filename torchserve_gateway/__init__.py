"""The gateway in front of stock TorchServe, the deployer, and the commands of both."""
