"""TorchServe's HTTP and gRPC APIs; no other package knows them."""
