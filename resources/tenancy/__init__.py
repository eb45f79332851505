"""The life of a tenant: made, changed, stopped, put into an archive and taken from one, and erased with a certificate."""
