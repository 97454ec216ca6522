"""`ocg service`: units and what belongs to them, written for a checkout or a virtual environment, and taken away."""
