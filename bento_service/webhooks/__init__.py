"""Delivering webhooks: threads that post what was announced, and the look at where an address leads."""
