"""Counting what requests use: in memory while they are answered, in a journal and in the control DB within a second."""
