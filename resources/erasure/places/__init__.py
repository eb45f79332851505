"""Where something about a user may be stored, a module for each: how it is found there, and how it is removed. May
import what stores it, and nothing of the search around it.
"""
