"""Deploys, rolls back and records versions; the gateways read that record."""
