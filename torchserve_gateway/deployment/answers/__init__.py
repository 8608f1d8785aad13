"""Known answers of samples, and their comparison with a version's. Imported by the golden check."""
