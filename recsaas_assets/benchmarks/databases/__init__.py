"""The same requests to the control DB on SQLite and on PostgreSQL, in one run. May import the workplace of benchmarks
and the control DB.
"""
