"""The decision log, a database of its own: what was shown to whom, and what the answer was made of. May import base and
what the ranker answers.
"""
