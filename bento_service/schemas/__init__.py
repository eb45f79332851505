"""Bodies of requests and answers, a module for each subject of the API; their fields are the public contract. May
import http.
"""
