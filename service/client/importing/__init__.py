"""Importing files: each becomes a document, and only changed ones are uploaded."""
