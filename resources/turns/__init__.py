"""Whose turn it is at a piece of work that one process of an installation does again and again."""
