"""Memories in the database."""
