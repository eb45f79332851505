"""Commands about people: who works for the platform, and what they log in with."""
