"""Webhooks, the low floor: what is announced to a shop's own programs, and how it is signed."""
