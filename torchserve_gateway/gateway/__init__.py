"""The HTTP API in front of TorchServe."""
