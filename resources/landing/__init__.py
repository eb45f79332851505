"""Dropped files: the folders into which shops put them, and what is kept of those that were refused. May import base
and storage.
"""
