"""The only code that knows TorchServe's HTTP API."""
