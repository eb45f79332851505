"""The control DB: frozen records and functions over them, each of which names its tenant. SQLAlchemy and the tables
stay in here. May import base, tenants, storage and merchandising: what its rows mean.
"""
