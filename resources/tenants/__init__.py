"""What a tenant may set: its words for ours, the weight of each kind of interaction, the model and its
hyper-parameters. May import base.
"""
