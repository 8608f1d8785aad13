"""TorchServe's published gRPC interface, and the stubs that `make grpc_stubs` generates from it."""
