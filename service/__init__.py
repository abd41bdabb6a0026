"""Palimpsest: a self-hosted memory service for agents, over gRPC, HTTP and MCP."""

import os

# Of the linear algebra behind NumPy, which reads this when it is imported. A search
# multiplies for a millisecond; a second thread for that waits, spinning, for a core
# that calls, the database and the embedder are using, and takes longer than it saves.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
