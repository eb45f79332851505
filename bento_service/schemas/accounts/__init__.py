"""Bodies and answers of the routes about people who log in."""
