"""Routes of a shop's administrators: API keys, rules, training, stopping a tenant. May import what the routes share."""
