"""The `ocg-agent` program."""

from ocg.agent.service import AgentService
from ocg.config import AgentSettings
from ocg.lifecycle import service

SUMMARY = "the agent of OCG: turns, tools and memory"


def main() -> None:
    """Run the service and exit."""
    service.main("ocg-agent", SUMMARY, AgentSettings, AgentService)


if __name__ == "__main__":
    main()
