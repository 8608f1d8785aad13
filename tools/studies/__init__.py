"""Studies of one model on a TorchServe of their own, see docs/timing.md."""
