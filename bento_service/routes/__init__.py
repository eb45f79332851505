"""Every route of the service: those of the API, the pages, and the bodies that handlers read themselves."""
