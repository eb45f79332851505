"""Assets and sensors from uploads and tracked events to features. May import ingestion and features."""
