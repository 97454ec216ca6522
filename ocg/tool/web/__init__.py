"""What is got from the web."""
