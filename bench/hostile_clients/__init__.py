"""Clients that mean harm and a neighbour that does not; for bench/hostile.py and the tests."""
