"""The ranker: one loaded release answers which items a user is to see, in which order and why. Retrieval and
eligibility are inner packages. May import releases and storage, and nothing of the control DB, uploads or events: what
has changed since the release is handed to it.
"""
