"""Standard streams: what is written to them, and what others write there; no library is needed."""
