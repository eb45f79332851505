"""Pages of the customer application."""
