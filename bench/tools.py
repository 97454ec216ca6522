"""How long a tool's call takes to its command's first instruction, by each confinement, alternating.

The command is date(1), which says when it ran; what the dynamic linker takes before is counted as well. With --sockets,
the folder of the cages' sockets, systemd is among them (as a user who may open those).
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from ocg.agent.confinement import Confinement
from ocg.agent.confinement.bubblewrap import Bubblewrap
from ocg.agent.confinement.programs import Programs, Unconfined
from ocg.agent.confinement.sockets import Sockets
from ocg.protocol import frames
from ocg.protocol.tooling import Cage, Run

_COMMAND = Run(argv=("date", "+%s%N"))
_GOALS_MS = {"systemd": 60, "bubblewrap": 30}


async def _milliseconds(confinement: Confinement) -> float:
    began = time.time_ns()
    said = b""
    async with confinement.open(Cage.RW, _COMMAND) as confined:
        async for kind, data in confined.frames():
            said += data if kind == frames.OUTPUT else b""
    return (int(said) - began) / 1e6


async def _measured(confinements: list[Confinement], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {one.name: [] for one in confinements}
    for _ in range(rounds):
        for one in confinements:
            times[one.name].append(await _milliseconds(one))
    return times


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--rounds", type=int, default=50)
    parser.add_argument("--sockets", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        confinements: list[Confinement] = [
            Programs("unconfined", Unconfined(Path(folder)).command),
            Programs("bubblewrap", Bubblewrap(Path(folder)).command),
        ]
        if options.sockets:
            confinements.append(Sockets(options.sockets))
        times = asyncio.run(_measured(confinements, options.rounds))
    print(f"from the call to the command's first instruction, {options.rounds} rounds")
    for name, values in times.items():
        worst = statistics.quantiles(values, n=20)[-1]
        goal = f" (goal {_GOALS_MS[name]})" if name in _GOALS_MS else ""
        print(
            f"{name:<10} p50 {statistics.median(values):5.1f} ms{goal}, p95 {worst:5.1f} ms, least {min(values):5.1f} ms"
        )


if __name__ == "__main__":
    main()
