"""The handler that runs in TorchServe, and the archiver that packs it with a checkpoint."""
