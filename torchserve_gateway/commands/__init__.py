"""The commands that make targets run. Imported by none."""
