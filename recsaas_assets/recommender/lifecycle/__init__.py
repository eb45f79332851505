"""A model from run to run: configuration and presets, a start from the model before, vectors of new items, the trained
model on disk. May import the models, fitting, metrics and data.
"""
