"""The life of a tenant: made, changed, counted, put into an archive and taken from one, erased with a certificate."""
