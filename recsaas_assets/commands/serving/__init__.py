"""Commands about what is served: recommendations, releases, rules, decisions, packages. May import what the commands
share and release.
"""
