"""The embedded backend: SQLite in one file."""
