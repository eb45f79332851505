"""What a person asks about training before it and meanwhile: whether there is enough data, how long it will take, how
far it is. May import uploads, events and the control DB.
"""
