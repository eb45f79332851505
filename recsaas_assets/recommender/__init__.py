"""The models, as plain Python that runs without Dagster, in inner packages: data, training, evaluation, search."""
