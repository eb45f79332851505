"""Keeping the audit log: its daily heads outside of the database, and entries that go because of their age."""
