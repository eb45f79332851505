"""Where the app and BentoML meet: the app mounted in BentoML's, and the endpoints of BentoML's own clients. May import
server and schemas.
"""
