"""Servers of the peers, each run in its own environment; they share the classifier and nothing else."""
