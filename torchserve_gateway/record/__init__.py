"""What is deployed, in files that deployer, gateways and a starting TorchServe share."""
