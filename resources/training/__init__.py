"""Training and its runs as a person sees them: whether there is enough data, how long it will take, how far a run is
and how it ended. May import uploads, events, jobs and the control DB.
"""
