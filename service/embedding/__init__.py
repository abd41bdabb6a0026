"""Vectors of texts: one interface, and an embedder of each kind behind it."""
