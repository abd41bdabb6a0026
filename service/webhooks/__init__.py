"""Delivering changes to webhooks."""
