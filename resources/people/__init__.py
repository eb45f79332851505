"""People who log in: members, the shops they belong to, and their passwords. What they hold then is in `sessions`."""
