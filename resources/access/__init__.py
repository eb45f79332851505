"""Who may do what: scopes of keys, roles of people, and who it was that did something. Plain data."""
