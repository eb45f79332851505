"""The lake, in a folder or in an object store: typed paths for each tenant, writes that are whole or absent, lists of
folders, and the locks of a tenant on one machine. May import base.
"""
