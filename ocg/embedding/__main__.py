"""The `ocg-embedding` program."""

from ocg.config import EmbeddingSettings
from ocg.embedding.service import EmbeddingService
from ocg.lifecycle import service

SUMMARY = "the models and the vector search of OCG"


def main() -> None:
    """Run the service and exit."""
    service.main("ocg-embedding", SUMMARY, EmbeddingSettings, EmbeddingService)


if __name__ == "__main__":
    main()
