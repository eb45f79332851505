"""Work that was acknowledged and is done later, of any kind: the one table, the queue with its claims and turns, the
runner, and the registry that says how each kind is treated. May import base and control_db.
"""
