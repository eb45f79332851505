"""Work that one process claims and another takes over when that one dies: claims, leases, and how long a job rests
after an outage. May import base.
"""
