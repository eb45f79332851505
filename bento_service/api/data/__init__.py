"""Routes that take a tenant's data in, show it and remove it: uploads, events, items, users, data quality. May import
what the routes share and `events`.
"""
