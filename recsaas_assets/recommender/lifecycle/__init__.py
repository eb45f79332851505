"""A model from run to run: its configuration, a start from the model before, the fits of a run, vectors of new items,
the trained model on disk. May import the models, fitting, metrics and data.
"""
