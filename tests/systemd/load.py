"""A load on the agent's socket or the gateway's port: `python -m tests.systemd.load WHERE CLIENTS [TOKEN]`.

It runs until SIGTERM, and on until 100 of each kind were answered, however slow the machine is; then it prints what
came of it.
Half of the clients run turns, which stream; the others ask plainly. A turn whose stream is cut off is asked for again
with the same message id, as a well-made client does; a connection that is refused is never excused.
"""

import asyncio
import json
import signal
import sys
import uuid
from collections import Counter

import aiohttp

_PATIENCE_S = 40.0
_PAUSE_S = 0.05
LEAST = 100


class Load:
    """Counts what happens: `turns` and `plain` that were answered, `cut` and taken up, and what must be none."""

    def __init__(self, where: str, token: str) -> None:
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.is_stopping = False
        self._where = where
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def stop(self) -> None:
        """End when enough was answered."""
        self.is_stopping = True

    @property
    def is_done(self) -> bool:
        """Whether it was told to end, and has seen enough or a fault."""
        return self.is_stopping and (bool(self.faults) or min(self.counts["turns"], self.counts["plain"]) >= LEAST)

    def session(self) -> aiohttp.ClientSession:
        """One connection a request, so that each has to get past the listener."""
        if self._where.startswith("http"):
            tcp = aiohttp.TCPConnector(force_close=True)
            return aiohttp.ClientSession(self._where, connector=tcp, headers=self._headers)
        return aiohttp.ClientSession("http://agent", connector=aiohttp.UnixConnector(self._where, force_close=True))

    async def streaming(self, number: int) -> None:
        """Run turns, one after the other, in a session of its own."""
        async with self.session() as http:
            session: str | None = None
            said: list[str] = []
            while not self.is_done:
                said.append(f"client {number} says {uuid.uuid4().hex}")
                session = await self._turn(http, session, said[-1])
            await self._check(http, session, said)

    async def _check(self, http: aiohttp.ClientSession, session: str | None, said: list[str]) -> None:
        """See that the session has every message and its answer once."""
        async with http.get(f"/v1/sessions/{session}") as response:
            found = [one["content"] for one in (await response.json()).get("messages", ())]
        if found != [text for one in said for text in (one, f"you said: {one}")]:
            self.faults.append(f"the transcript of {session} has {len(found)} messages for {len(said)} turns")

    async def _turn(self, http: aiohttp.ClientSession, session: str | None, message: str) -> str | None:
        body = {"message": message, "message_id": uuid.uuid4().hex, "session_id": session}
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        while asyncio.get_running_loop().time() < deadline:
            try:
                last = await self._events(http, body)
            except aiohttp.ClientConnectorError as error:
                self.faults.append(f"refused: {error}")
                return session
            except (aiohttp.ClientError, OSError):
                last = None
            if last is None:
                self.counts["cut"] += 1
                await asyncio.sleep(_PAUSE_S)
                continue
            if last["type"] != "turn.completed" or last["text"] != f"you said: {message}":
                self.faults.append(f"wrong: {last}")
            self.counts["turns"] += 1
            if self.counts["turns"] == 1:
                sys.stdout.write("busy\n")
            return str(last["session_id"])
        self.faults.append(f"lost: {message}")
        return session

    async def _events(self, http: aiohttp.ClientSession, body: dict[str, str | None]) -> dict[str, str] | None:
        """Return the turn's last event; None when the stream ends before it, or the agent is on its way down."""
        last = None
        async with http.post("/v1/turns", json=body) as response:
            if response.status in {429, 503}:
                return None
            async for line in response.content:
                if line.startswith(b"data: "):
                    last = json.loads(line[6:])
        return last if last and last["type"] in {"turn.completed", "turn.failed"} else None

    async def plain(self) -> None:
        """Ask for the sessions; this can be asked again, but not refused, and not lost for nothing."""
        async with self.session() as http:
            while not self.is_done:
                try:
                    async with http.get("/v1/sessions") as response:
                        await response.read()
                        self.counts["plain" if response.status == 200 else f"plain {response.status}"] += 1
                except aiohttp.ClientConnectorError as error:
                    self.faults.append(f"refused: {error}")
                except (aiohttp.ClientError, OSError) as error:
                    self.counts["plain cut"] += 1
                    self.faults.append(f"plain: {error!r}")
                await asyncio.sleep(_PAUSE_S)


async def _main(where: str, clients: int, token: str = "") -> None:
    load = Load(where, token)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, load.stop)
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(load.plain() if number % 2 else load.streaming(number))
    sys.stdout.write(json.dumps({"counts": load.counts, "faults": load.faults[:20]}))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
