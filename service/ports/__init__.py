"""Protocols between the layers, and the plain data they exchange."""
