"""Predictions: routes, and the stages that one prediction passes. Imported by the gateway's application."""
