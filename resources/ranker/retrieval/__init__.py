"""The nearest item vectors: the FAISS index of a release, and the search in it, exact where a filter leaves few items;
and what a user may buy again. May import base and releases.
"""
