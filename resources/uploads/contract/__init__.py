"""What a shop may upload and what it is told: kinds of file with their columns, limits of a check, quality, the report.
May import base and the records of the control DB.
"""
