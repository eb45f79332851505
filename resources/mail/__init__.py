"""Mails of the platform: templates, the queue in the control DB, and the two ways out: a mail server, or a folder."""
