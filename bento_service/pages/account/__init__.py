"""The page on which a person changes what is theirs: name, password, second factor, theme, sessions."""
