"""Request context, log, metrics and traces. Imported by the whole gateway."""
