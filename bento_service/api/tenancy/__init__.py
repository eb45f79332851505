"""Routes about whole tenants: for the platform those that make, change, stop, erase and export any of them, for a shop
those that close and export itself.
"""
