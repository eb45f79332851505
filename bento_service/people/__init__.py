"""What pages and the API do alike for people: links to set a password anew, and what takes a second factor."""
