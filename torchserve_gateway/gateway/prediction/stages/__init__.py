"""The stages of one prediction, each wrapping the next. Imported by the gateway's application."""
