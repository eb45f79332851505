"""Bodies of the routes in `api/admin/`."""
