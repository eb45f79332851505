"""Routes that need no API key: documents, health and metrics, the widget, the demo shop. May import what the routes
share and `demo`.
"""
