"""What a person who has logged in holds: access tokens and the keys that sign them, refresh tokens; and how one logs in
and signs up.
"""
