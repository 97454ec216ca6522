"""What systemd costs: `ocg start`, `status` and `stop` by the system manager and by the direct one, alternating.

Both run in one booted container (tests/systemd/box.py), on the same files, the units as `ocg service install` writes
them, with their whole cage. Prints medians of N rounds with the least and the most, and the difference.
"""

import argparse
import statistics
import time

from tests.systemd.box import Box, booted

_COMMANDS = ("start", "status", "stop")
_MANAGERS = ("system", "direct")
_GOAL_S = 0.2


def _timed(box: Box, command: str, manager: str) -> float:
    began = time.perf_counter()
    options = ("--pid-dir", "/root/pids") if manager == "direct" else ()
    box.run("ocg", command, "--manager", manager, *options)
    return time.perf_counter() - began


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    times: dict[tuple[str, str], list[float]] = {(command, name): [] for command in _COMMANDS for name in _MANAGERS}
    with booted() as box:
        box.run("ocg", "service", "install")
        for _ in range(rounds):
            for manager in _MANAGERS:
                for command in _COMMANDS:
                    times[command, manager].append(_timed(box, command, manager))
    middle = {key: statistics.median(values) for key, values in times.items()}
    print(f"{rounds} rounds in a container, each with the time to enter it")
    for (command, manager), values in times.items():
        spread = f"(min {min(values):.3f}, max {max(values):.3f})"
        print(f"ocg {command:<7} {manager:<7} {middle[command, manager]:.3f} s {spread}")
    difference = middle["start", "system"] - middle["start", "direct"]
    print(f"a start by systemd takes {difference:+.3f} s (goal {_GOAL_S:g})")


if __name__ == "__main__":
    main()
