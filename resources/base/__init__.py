"""Errors, ids, names of tenants, settings and times: what everything else is built from. Imports nothing of ours."""
