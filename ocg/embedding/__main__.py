"""The `ocg-embedding` program."""

from ocg.config import EmbeddingSettings
from ocg.embedding.service import EmbeddingService
from ocg.lifecycle import service


def main() -> None:
    """Run the service and exit."""
    service.main("ocg-embedding", EmbeddingSettings, EmbeddingService)


if __name__ == "__main__":
    main()
