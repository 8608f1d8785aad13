"""TorchServe's Management API for people and scripts: raw calls, without the checks of a deploy."""
