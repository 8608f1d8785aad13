"""Parts of a model's settings; imported by `settings/model.py`."""
