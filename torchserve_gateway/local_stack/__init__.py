"""TorchServe, gateway and file browser on one machine, without Docker."""
