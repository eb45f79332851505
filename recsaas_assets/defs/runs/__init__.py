"""Sensors that start runs, and record how they ended. May import runs, ingestion and the assets."""
