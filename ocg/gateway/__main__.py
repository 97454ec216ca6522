"""`ocg-gateway`."""

from ocg.config import GatewaySettings
from ocg.gateway.service import GatewayService
from ocg.lifecycle import service

SUMMARY = "the page and the API of OCG"


def main() -> None:
    """Be ocg-gateway until told to stop."""
    service.main("ocg-gateway", SUMMARY, GatewaySettings, GatewayService)


if __name__ == "__main__":
    main()
