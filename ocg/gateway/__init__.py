"""ocg-gateway: who may talk, and in which dialect; keeps no conversation."""
