"""An invented electronics shop, seeded: its catalogue, the behaviour of its customers, its files. Imports nothing of
ours.
"""
