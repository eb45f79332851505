"""Tracked events: the log that acknowledges them, their export to the lake, and the newest ones of a user for an
answer. May import storage, releases and the control DB.
"""
