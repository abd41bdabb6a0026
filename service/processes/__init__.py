"""Child processes: how they are started and called, and what they run."""
