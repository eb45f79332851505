"""The demo shop: its tenant, a key for its visitors' browsers, people to shop as, and the files of its page. May import
`dependencies.py`.
"""
