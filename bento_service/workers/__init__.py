"""Threads of the service that work on jobs, behind everything that a client waits for. May import telemetry."""
