"""The life of an API key after it was made: how it is changed, rotated, used, and how its end is announced."""
