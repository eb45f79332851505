"""What definitions share: the partitions by tenant, the job, metadata for people. Imports no other package of the
pipeline.
"""
