"""API keys in the database."""
