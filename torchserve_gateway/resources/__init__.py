"""Files that come with the package: links to `config/`, `imgs/` and `weights/` at the root of a checkout."""
