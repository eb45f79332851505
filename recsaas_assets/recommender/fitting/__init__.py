"""What a fit needs, whatever the model: the optimiser, checkpoints, the device, and how much fits into memory. Imports
no other package of the pipeline.
"""
