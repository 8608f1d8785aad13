"""`make tune`."""
