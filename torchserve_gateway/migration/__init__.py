"""Ways from a TorchServe of others to ours: its configuration, its running models; imported by commands."""
