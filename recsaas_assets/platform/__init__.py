"""The processes of an installation: Dagster's UI and daemon, the service, their ports, and who may reach them. May
import the instance.
"""
