"""Background processing: workers, chunking, indexing, and reindexing for another embedder."""
