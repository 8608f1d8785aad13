"""Iris species from four measurements: JSON in, JSON out."""
