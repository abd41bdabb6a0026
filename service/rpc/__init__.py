"""The transport: generated messages in, generated messages out."""
