"""What a fit needs, whatever the model: its inputs, the optimiser, checkpoints, the device, and how much fits into
memory. May import data.
"""
