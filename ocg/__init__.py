"""OCG, a local AI agent that the operating system runs."""

__version__ = "0.1.0"
