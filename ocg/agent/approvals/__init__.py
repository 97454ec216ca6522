"""Calls of tools that wait for a person to allow them, and the log of all that was decided."""
