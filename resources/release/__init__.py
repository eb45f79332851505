"""A release on disk and in memory: its files and manifest, how it is written, verified, promoted and loaded. May import
base and storage.
"""
