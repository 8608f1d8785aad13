"""Commands for people who come with a model, or with a TorchServe of their own."""
