"""Processes of ours: how one begins, a fork server whose children end at their limits, and the supervisor that keeps a
platform running. May import base.
"""
