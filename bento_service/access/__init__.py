"""Which keys are valid, and how much a key, a tenant or an address may ask; shared through Redis where there is one.
May import http, scheduling and telemetry.
"""
