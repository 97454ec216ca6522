"""What users chose while the agent ran, and is chosen still after a restart."""

import sqlite3

from ocg.database import Database

_MODEL = "model"


class Wishes:
    """The part of agent.db that keeps it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def model(self) -> str:
        """Return the providers that `/model` chose, as OCG_PROVIDER has them; nothing when env.config decides."""

        def job(db: sqlite3.Connection) -> str:
            row = db.execute("SELECT value FROM wishes WHERE key = ?", (_MODEL,)).fetchone()
            return str(row["value"]) if row else ""

        return await self._database.read(job)

    async def keep_model(self, providers: str) -> None:
        """Keep them, or none."""

        def job(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM wishes WHERE key = ?", (_MODEL,))
            if providers:
                db.execute("INSERT INTO wishes (key, value) VALUES (?, ?)", (_MODEL, providers))

        await self._database.write(job)
