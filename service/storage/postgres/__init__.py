"""The backend on a PostgreSQL server."""
