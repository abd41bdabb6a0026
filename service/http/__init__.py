"""The contract over HTTP: paths, their JSON, and the server. What a call means is `service.rpc`."""
