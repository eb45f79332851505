"""A recommendation while a client waits: the live release in memory, what its tenant has changed, the ranking, kept
answers, JSON. May import events, access, scheduling, schemas, http and telemetry; no route and no `dependencies.py`.
"""
