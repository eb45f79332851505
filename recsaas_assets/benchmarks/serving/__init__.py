"""Benchmarks of the service: requests, events, neighbours, large indexes, memory over minutes. May import the platform;
the service runs in processes of its own.
"""
