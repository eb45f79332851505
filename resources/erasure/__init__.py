"""Erasing a user and showing what is stored about one: search everywhere, remove, search again, certify. May import
every room that stores something about users; its places are an inner package.
"""
