"""Hydra configuration as typed settings, and the frame of every command. Imported by all, imports none."""
