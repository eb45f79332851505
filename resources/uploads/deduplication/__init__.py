"""Rows that are there already: hashes of rows, and the search for them in earlier uploads and tracked events. May
import parsing, the contract, events, the control DB and storage.
"""
