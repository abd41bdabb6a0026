"""The client side: what commands do on a running server, over gRPC."""
