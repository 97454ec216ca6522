"""What users chose while the agent ran, and is chosen still after a restart."""

import sqlite3

from ocg.database import Database

_MODEL, _OVER = "model", "model over"


class Wishes:
    """The part of agent.db that keeps it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def model(self, given: str) -> str:
        """Return the providers that `/model` chose, as OCG_PROVIDER has them, over those that the settings gave then.

        Nothing when the settings decide: they do as soon as they give others.
        """

        def job(db: sqlite3.Connection) -> str:
            found = dict(db.execute("SELECT key, value FROM wishes WHERE key IN (?, ?)", (_MODEL, _OVER)).fetchall())
            return str(found.get(_MODEL, "")) if found.get(_OVER) == given else ""

        return await self._database.read(job)

    async def keep_model(self, providers: str, given: str) -> None:
        """Keep them, or none."""

        def job(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM wishes WHERE key IN (?, ?)", (_MODEL, _OVER))
            if providers:
                sql = "INSERT INTO wishes (key, value) VALUES (?, ?)"
                db.executemany(sql, [(_MODEL, providers), (_OVER, given)])

        await self._database.write(job)
