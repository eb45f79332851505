"""From files to raw tables: dropped files become uploads; uploads, tracked events and items changed by API become one
table for each kind. Imports no other package of the pipeline.
"""
