"""Standard streams: writing to them, and capturing what other code writes; no library is needed."""
