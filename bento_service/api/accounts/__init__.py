"""Routes about people: signing up, logging in and out, and what is one's own."""
