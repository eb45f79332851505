"""Recommendations beside the service: what a tenant has changed since its release, the lists of all users and their
export, releases packed with the service. May import the catalogue, the ranker, events, merchandising and the control
DB.
"""
