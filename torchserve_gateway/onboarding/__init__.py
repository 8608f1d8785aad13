"""From a file with a model to its `config/model/<name>.yaml`: looks into the file, guesses what it can."""
