"""The page that shows the gateway's documents."""
