"""Engines of the SQL databases that several processes share. May import base and storage."""
