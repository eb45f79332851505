"""The items of a tenant as they are now, from the release, from uploads and from changes by API: listed, searched,
changed. May import uploads, the control DB and the ranker's eligibility.
"""
