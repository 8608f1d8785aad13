"""The search of `make tune` for most images a second within a latency. Imported by commands."""
