"""Which versions serve, and whether they are ready. Imported by stages and routes."""
