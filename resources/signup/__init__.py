"""Signing up: a person makes a shop, and is its owner."""
