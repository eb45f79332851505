"""What tenants may use: plans and their limits, exceptions of single tenants, what is used of them, and warnings."""
