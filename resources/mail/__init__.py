"""Mails: a template and its values go into a queue of the control DB, from which the service sends them."""
