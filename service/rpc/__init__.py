"""The transport: generated messages in, generated messages out."""

import os

# gRPC reads this when it is imported. Its preparations for a fork are of no use to a
# process that starts other programs, and gRPC logs errors when they are interrupted.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
