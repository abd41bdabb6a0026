"""From content to searchable pieces: one file for each kind of content."""
