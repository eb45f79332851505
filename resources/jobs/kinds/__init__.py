"""The kinds of job, a module each: what is asked for, what comes of it, and the words for where it stands. What does
the work lives in the room of its subject. May import jobs, control_db, tenants and base.
"""
