"""Uploads: a file is checked in a child process, stored once, traced to what it has influenced, and taken back. The
steps of the check are inner packages. May import the control DB, events, releases and everything below them.
"""
