"""Acting for a tenant: somebody of the office sees what a member sees, for a while, with a reason that all can read."""
