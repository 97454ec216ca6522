"""The vector store: vectors.db is the truth, FAISS is derived from it."""

from ocg.embedding.vectors.store import VectorStore

__all__ = ["VectorStore"]
