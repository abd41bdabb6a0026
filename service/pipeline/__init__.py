"""From what was written to what can be found: stages, leases, embedding anew."""
