"""What the routes share: which tenant a key stands for, and how an uploaded file is taken in. The routes are in inner
packages by subject. May import `dependencies.py`, schemas and everything below them.
"""
