"""What runs the processes of the service: event loop, batching, fairness, logs."""
