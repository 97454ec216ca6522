"""agent.db, version by version."""

MIGRATIONS = (
    """
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('chat', 'api')),
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL
    ) STRICT;
    CREATE INDEX sessions_by_kind ON sessions (kind, updated_at);

    -- A turn is the request as it was accepted; its steps are the messages that carry its id.
    CREATE TABLE turns (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        message_id TEXT NOT NULL,
        message TEXT NOT NULL,
        context TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'failed')),
        error TEXT,
        prompt_tokens INTEGER NOT NULL DEFAULT 0,
        completion_tokens INTEGER NOT NULL DEFAULT 0,
        created_at REAL NOT NULL,
        ended_at REAL,
        UNIQUE (message_id)
    ) STRICT;
    CREATE INDEX turns_open ON turns (state) WHERE state IN ('queued', 'running');

    CREATE TABLE messages (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL,
        session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        turn_id TEXT NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('user', 'assistant', 'tool')),
        content TEXT NOT NULL,
        tool_calls TEXT,
        tool_call_id TEXT,
        created_at REAL NOT NULL
    ) STRICT;
    CREATE INDEX messages_of_session ON messages (session_id, seq);
    CREATE INDEX messages_of_turn ON messages (turn_id, seq);

    CREATE TABLE memories (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        text TEXT NOT NULL,
        kind TEXT NOT NULL,
        created_at REAL NOT NULL
    ) STRICT;
    -- `words` is the text with every Chinese, Japanese or Korean character a word of its own.
    CREATE VIRTUAL TABLE memory_words USING fts5 (words, tokenize = 'unicode61 remove_diacritics 2');
    -- What ocg-embedding has not been told yet.
    CREATE TABLE memory_outbox (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL
    ) STRICT;
    """,
    """
    -- A command is answered without the model, which is never shown it.
    ALTER TABLE turns ADD COLUMN is_command INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX turns_of_session ON turns (session_id, is_command);

    -- Messages up to the watermark are not shown to the model any more, the summary stands for them; the last counts.
    CREATE TABLE compactions (
        session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        watermark INTEGER NOT NULL,
        summary TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('summary', 'extract', 'new')),
        prompt_tokens INTEGER NOT NULL,
        completion_tokens INTEGER NOT NULL,
        created_at REAL NOT NULL,
        PRIMARY KEY (session_id, watermark)
    ) STRICT;

    -- Results of tools that are too long to be shown whole.
    CREATE TABLE tool_results (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        content TEXT NOT NULL,
        chars INTEGER NOT NULL,
        created_at REAL NOT NULL
    ) STRICT;
    CREATE INDEX tool_results_of_session ON tool_results (session_id, chars);
    """,
)
