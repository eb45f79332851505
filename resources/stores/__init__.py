"""What is stored of one tenant, in the lake and in the control DB, as one object, and who may work on it alone. May
import base, storage, databases and the control DB.
"""
