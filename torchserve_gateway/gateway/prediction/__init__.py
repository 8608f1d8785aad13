"""Prediction routes and what their stages use. Imported by the gateway's application and protocols."""
