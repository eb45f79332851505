"""Pages of the back office: its log-in, and where one lands."""
