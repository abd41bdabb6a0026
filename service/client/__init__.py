"""The side of the caller: commands that speak to a running server over gRPC."""
