"""Faces in photographs: base64 in JSON or an image in, boxes out."""
