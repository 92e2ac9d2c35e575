"""The command line: parses, calls the library, prints. No decision is taken here.

May import everything; nothing imports it.
"""
