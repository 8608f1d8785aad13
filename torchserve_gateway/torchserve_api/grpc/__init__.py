"""TorchServe's two APIs over gRPC."""
