"""Demo checkpoint: a small classifier of procedurally generated movie posters, trained from scratch."""
