"""Palimpsest: a self-hosted memory service for agents, spoken over gRPC."""
