"""Finding things again: analysis of text, the in-memory index, and ranking; no I/O."""
