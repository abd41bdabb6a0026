"""Child processes: how they are started and asked, and what they run."""
