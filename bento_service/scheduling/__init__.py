"""What is worked on next: turns on the event loop, threads by how long a call takes, queues in which tenants take
turns. May import http.
"""
