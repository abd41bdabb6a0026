"""From content to searchable chunks: one file for each kind of content."""
