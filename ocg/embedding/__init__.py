"""ocg-embedding: every llama.cpp model, and the vectors."""
