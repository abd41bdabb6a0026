"""What makes documents and memories findable, in the database."""
