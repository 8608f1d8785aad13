"""Records answers as the expected answers of a model's samples. Imported by the command line."""
