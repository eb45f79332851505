"""The Dagster graph, in an inner package for each stage. An asset moves data: it reads, calls one function of the
domain, writes, and returns metadata.
"""
