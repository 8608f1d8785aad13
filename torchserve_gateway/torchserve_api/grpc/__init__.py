"""TorchServe's Inference and Management APIs over gRPC."""
