"""The audit log: every change of state, in hash-chained entries that are only ever added."""
