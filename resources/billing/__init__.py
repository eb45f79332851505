"""From usage to money: the price list, the statement of a tenant's month, and the daily samples of what is stored."""
