"""Which items an answer may contain: filters, changes of the catalogue since the release and a shop's rules, as masks
over item rows. May import base and releases.
"""
