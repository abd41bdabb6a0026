"""What a running service is measured by."""
