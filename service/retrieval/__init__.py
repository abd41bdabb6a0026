"""Searching: segments kept true in memory, ranked, and read back from the storage."""
