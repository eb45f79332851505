"""Below the app: the worker processes, the HTTP server of each, and the end of connections that cost others something.
May import http.
"""
