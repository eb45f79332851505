"""What belongs into one basket: baskets from interactions, and a table of the items that are bought together more often
than chance has it and are no alternatives to each other. May import the recommender's data.
"""
