"""`serve` and `new-model`: from a file with a model to an answering URL."""
