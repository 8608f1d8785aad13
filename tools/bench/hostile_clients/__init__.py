"""Clients that mean harm and a neighbour that does not; for tools/bench/hostile.py and the tests."""
