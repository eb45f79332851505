"""What a running service says of itself: structured logs and Prometheus metrics, bounded and without personal data.
Imports no other package of the service.
"""
