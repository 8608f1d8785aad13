"""DenseNet-161 by TorchServe's own tutorial, see README.md."""
