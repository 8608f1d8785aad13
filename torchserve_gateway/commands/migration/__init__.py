"""Commands for people who come with a TorchServe of their own."""
