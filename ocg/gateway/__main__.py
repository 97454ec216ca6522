"""`ocg-gateway`."""

from ocg.config import GatewaySettings
from ocg.gateway.service import GatewayService
from ocg.lifecycle import service


def main() -> None:
    """Be ocg-gateway until told to stop."""
    service.main("ocg-gateway", GatewaySettings, GatewayService)


if __name__ == "__main__":
    main()
