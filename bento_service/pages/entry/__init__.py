"""Pages for whoever is not logged in: log-in, sign-up, forgotten passwords, and what links in mails open."""
