"""The rules, pure and without I/O. Imports the standard library alone."""
