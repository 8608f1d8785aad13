"""The live view of the gateway in a terminal."""
