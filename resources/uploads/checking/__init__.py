"""The check of one file, from its first row to the parts and the report that are stored. May import deduplication,
parsing, the contract, the control DB and storage.
"""
