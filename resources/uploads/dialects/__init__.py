"""How a file is written, found from the file: its encoding, its separator and quotes, the line of its header, and what
its rows may lack. May import the contract alone.
"""
