"""`ocg`: a module a command; they print, and decide nothing."""
