"""Containers in the database."""
