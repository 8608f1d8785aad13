"""TorchServe's published interface in our words; the stubs beside it are made by `make grpc_stubs`."""
