"""What a request leaves behind: tracked events in shared transactions, and decisions, written beside the answers. May
import http, scheduling, schemas and telemetry.
"""
