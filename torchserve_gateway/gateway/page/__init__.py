"""The web page at `/`: its files, and routes that serve them."""
