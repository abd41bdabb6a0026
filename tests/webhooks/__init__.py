"""Delivery to webhooks, with receivers on a loopback address."""
