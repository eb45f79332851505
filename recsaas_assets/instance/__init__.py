"""The Dagster instance of an installation: its home, its storage, runs in this process and beside it. May import the
definitions.
"""
