"""HTTP as every route needs it: the shape of errors, bodies and files in, pages of lists, addresses and headers. Knows
no route, no tenant and no other package of the service.
"""
