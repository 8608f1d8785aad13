"""Handwritten digits: an eager model file with its state dict, and a handler that answers with text."""
