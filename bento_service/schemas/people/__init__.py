"""Bodies of the routes about people."""
