"""Deployed versions, in files that deployer, gateways and a starting TorchServe share; imports neither."""
