"""Hostile clients and a well-behaved neighbour, for tools/bench/hostile.py and the tests."""
