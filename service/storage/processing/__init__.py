"""The queue of documents to be processed, in the database."""
