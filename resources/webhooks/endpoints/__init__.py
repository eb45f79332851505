"""Webhook endpoints of a tenant: where they lead, what they want to hear, and every delivery to them."""
