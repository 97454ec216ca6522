"""The embedding model: texts in, vectors out. What is outside sees the encoder alone."""

from ocg.embedding.encoder.encoder import Encoder
from ocg.embedding.encoder.texts import Embedded

__all__ = ["Embedded", "Encoder"]
