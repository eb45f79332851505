"""Commands about data: uploads, dropped files, tracked events, features, quality, the sample shop. May import what the
commands share, ingestion, features and sample.
"""
