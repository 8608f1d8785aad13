"""Converts a checkpoint to another engine or precision, and compares the result with the original."""
