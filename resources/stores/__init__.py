"""What is stored of one tenant, in the lake and in the control DB, as one object. May import base, storage and the
control DB.
"""
