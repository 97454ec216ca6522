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
    -- `event_seq` is the number of the last event that told of it; null where nobody was told (ocg/agent/retelling.py).
    ALTER TABLE turns ADD COLUMN mode TEXT NOT NULL DEFAULT 'queue' CHECK (mode IN ('queue', 'steer', 'interrupt'));
    ALTER TABLE turns ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE turns ADD COLUMN event_seq INTEGER;
    ALTER TABLE turns ADD COLUMN joined TEXT;
    ALTER TABLE turns ADD COLUMN reply_to TEXT;
    ALTER TABLE turns ADD COLUMN cached_tokens INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE turns ADD COLUMN cost REAL NOT NULL DEFAULT 0;
    ALTER TABLE turns ADD COLUMN began_at REAL;
    ALTER TABLE messages ADD COLUMN event_seq INTEGER;
    ALTER TABLE messages ADD COLUMN reasoning TEXT NOT NULL DEFAULT '';
    ALTER TABLE messages ADD COLUMN opaque TEXT NOT NULL DEFAULT '';
    ALTER TABLE messages ADD COLUMN model TEXT NOT NULL DEFAULT '';
    ALTER TABLE messages ADD COLUMN usage TEXT;

    -- Answers for channels, until one says that it has them. A row goes with its turn.
    CREATE TABLE deliveries (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        turn_id TEXT NOT NULL UNIQUE REFERENCES turns (id) ON DELETE CASCADE,
        channel TEXT NOT NULL,
        address TEXT NOT NULL,
        text TEXT NOT NULL,
        error TEXT,
        attempts INTEGER NOT NULL DEFAULT 0,
        due_at REAL NOT NULL,
        created_at REAL NOT NULL,
        expires_at REAL NOT NULL
    ) STRICT;
    CREATE INDEX deliveries_due ON deliveries (channel, due_at);
    """,
    # Memories with all there is to know of them; those that a user has yet to accept; those that files hold.
    """
    ALTER TABLE memories ADD COLUMN state TEXT NOT NULL DEFAULT 'kept' CHECK (state IN ('kept', 'proposed'));
    ALTER TABLE memories ADD COLUMN source TEXT NOT NULL DEFAULT 'user';
    ALTER TABLE memories ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE memories ADD COLUMN importance REAL NOT NULL DEFAULT 0.5;
    ALTER TABLE memories ADD COLUMN updated_at REAL NOT NULL DEFAULT 0;
    ALTER TABLE memories ADD COLUMN used_at REAL;
    -- The file below the workspace's memory folder that it stands in, if it stands in one.
    ALTER TABLE memories ADD COLUMN file TEXT;
    -- By which version of the splitter its words were made.
    ALTER TABLE memories ADD COLUMN indexed INTEGER NOT NULL DEFAULT 1;
    UPDATE memories SET updated_at = created_at;
    CREATE INDEX memories_by_text ON memories (text);
    CREATE INDEX memories_by_file ON memories (file) WHERE file IS NOT NULL;
    CREATE INDEX memories_proposed ON memories (seq) WHERE state = 'proposed';
    CREATE INDEX memories_by_indexed ON memories (indexed);
    -- What of each file has become memories.
    CREATE TABLE memory_files (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, digest TEXT NOT NULL) STRICT;
    -- Turns whose facts were taken already, so that none is taken twice.
    CREATE TABLE memory_captures (turn_id TEXT PRIMARY KEY) STRICT;
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

    -- What users chose while the agent ran.
    CREATE TABLE wishes (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

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

    -- Pictures belong to the turn that brought them, and once it has begun, to its message.
    CREATE TABLE images (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        turn_id TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
        message_id TEXT,
        media_type TEXT NOT NULL,
        data BLOB NOT NULL
    ) STRICT;
    CREATE INDEX images_of_turn ON images (turn_id);
    CREATE INDEX images_of_message ON images (message_id);
    ALTER TABLE messages ADD COLUMN images INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE messages ADD COLUMN spans TEXT;

    CREATE INDEX turns_joined ON turns (joined) WHERE joined IS NOT NULL;
    CREATE INDEX messages_of_call ON messages (session_id, tool_call_id) WHERE tool_call_id IS NOT NULL;
    CREATE INDEX tool_results_sizes ON tool_results (seq, chars);
    """,
    """
    -- How a client wants the replies of a turn made, as long as it runs.
    ALTER TABLE turns ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE messages ADD COLUMN client_calls TEXT;
    ALTER TABLE messages ADD COLUMN is_cut INTEGER NOT NULL DEFAULT 0;

    -- Calls of tools that clients run: their ids are not given twice, and with one comes back what its provider wants.
    CREATE TABLE client_calls (
        call_id TEXT PRIMARY KEY,
        session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        opaque TEXT NOT NULL
    ) STRICT;
    CREATE INDEX client_calls_of_session ON client_calls (session_id);
    """,
    # Responses of OpenAI's Responses API; each goes on from another, which may be gone.
    """
    CREATE TABLE responses (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        previous_id TEXT,
        owner TEXT NOT NULL,
        head BLOB NOT NULL,
        input BLOB NOT NULL,
        output BLOB NOT NULL,
        bytes INTEGER NOT NULL,
        used_at REAL NOT NULL
    ) STRICT;
    CREATE INDEX responses_by_use ON responses (used_at, bytes);
    -- Where the items are that came out of them, which clients may name instead of sending them.
    CREATE TABLE response_items (
        id TEXT PRIMARY KEY,
        response TEXT NOT NULL REFERENCES responses (id) ON DELETE CASCADE
    ) STRICT;
    CREATE INDEX items_of_response ON response_items (response);
    """,
    # What is to be asked later, and what came of it.
    """
    -- `next_at` is null where it was for one time that is over.
    CREATE TABLE schedules (
        name TEXT PRIMARY KEY,
        timing TEXT NOT NULL,
        zone TEXT NOT NULL,
        message TEXT NOT NULL,
        session TEXT NOT NULL CHECK (session IN ('own', 'new')),
        reply_to TEXT,
        created_at REAL NOT NULL,
        next_at REAL,
        is_paused INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX schedules_due ON schedules (next_at) WHERE is_paused = 0;

    -- `id` is the message id of the turn, and `request` what it is asked with, until it has ended.
    CREATE TABLE schedule_runs (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        schedule TEXT NOT NULL REFERENCES schedules (name) ON DELETE CASCADE,
        session_id TEXT NOT NULL,
        request TEXT NOT NULL,
        due_at REAL NOT NULL,
        began_at REAL NOT NULL,
        is_asked INTEGER NOT NULL,
        missed INTEGER NOT NULL,
        state TEXT NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'completed', 'failed')),
        ended_at REAL,
        turn_id TEXT,
        error TEXT
    ) STRICT;
    CREATE INDEX runs_of_schedule ON schedule_runs (schedule, seq);
    CREATE UNIQUE INDEX runs_running ON schedule_runs (schedule) WHERE state = 'running';
    """,
    # What tools are run, and who said so.
    """
    ALTER TABLE turns ADD COLUMN is_stranger INTEGER NOT NULL DEFAULT 0;

    -- Calls that a person is asked about; each has two events more (ocg/agent/retelling.py).
    CREATE TABLE approvals (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        turn_id TEXT NOT NULL,
        channel TEXT NOT NULL,
        call_id TEXT NOT NULL,
        name TEXT NOT NULL,
        arguments TEXT NOT NULL,
        command TEXT NOT NULL,
        why TEXT NOT NULL,
        asked_at REAL NOT NULL,
        expires_at REAL NOT NULL,
        answer TEXT NOT NULL DEFAULT '' CHECK (answer IN ('', 'allow', 'deny')),
        answered_by TEXT NOT NULL DEFAULT '',
        remember TEXT NOT NULL DEFAULT '' CHECK (remember IN ('', 'session')),
        UNIQUE (turn_id, call_id)
    ) STRICT;
    CREATE INDEX approvals_waiting ON approvals (seq) WHERE answer = '';
    CREATE INDEX approvals_of_session ON approvals (session_id);
    CREATE INDEX approvals_remembered ON approvals (session_id, name, command, seq) WHERE remember = 'session';

    -- That something was decided is kept when its conversation is deleted; what it was about is not.
    CREATE TABLE decisions (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        turn_id TEXT NOT NULL,
        session_id TEXT NOT NULL,
        channel TEXT NOT NULL,
        tool TEXT NOT NULL,
        arguments TEXT NOT NULL,
        digest TEXT NOT NULL,
        decision TEXT NOT NULL CHECK (decision IN ('allow', 'deny')),
        decided_by TEXT NOT NULL
    ) STRICT;
    CREATE INDEX decisions_by_age ON decisions (at);
    CREATE INDEX decisions_of_session ON decisions (session_id);
    CREATE TRIGGER decisions_of_deleted AFTER DELETE ON sessions BEGIN
        UPDATE decisions SET arguments = '' WHERE session_id = old.id;
    END;
    """,
    # How much of them each owner has, and what each used longest ago, without a look at the blobs.
    "CREATE INDEX responses_by_owner ON responses (owner, used_at, seq, bytes)",
    # Who asked for a turn, and in which way.
    """
    ALTER TABLE turns ADD COLUMN asker TEXT NOT NULL DEFAULT 'owner';
    ALTER TABLE turns ADD COLUMN is_owners INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE turns ADD COLUMN kind TEXT NOT NULL DEFAULT 'chat' CHECK (kind IN ('chat', 'api'));
    UPDATE turns SET kind = 'api' WHERE session_id IN (SELECT id FROM sessions WHERE kind = 'api');
    """,
    # An answer that is remembered for a command without the network is none for the same with it.
    "ALTER TABLE approvals ADD COLUMN network INTEGER NOT NULL DEFAULT 0",
    # Sub-agents, and messages that are sent while a turn runs.
    """
    -- What a sub-agent's turn has from the turn that asked for it (ocg/agent/spawned.py).
    ALTER TABLE turns ADD COLUMN spawned TEXT;
    CREATE INDEX turns_spawned ON turns (spawned ->> 'session_id') WHERE spawned IS NOT NULL;
    CREATE INDEX turns_replied ON turns (reply_to) WHERE reply_to IS NOT NULL;

    -- As it was, but a turn may have several.
    CREATE TABLE deliveries_of_turns (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        turn_id TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
        channel TEXT NOT NULL,
        address TEXT NOT NULL,
        text TEXT NOT NULL,
        error TEXT,
        attempts INTEGER NOT NULL DEFAULT 0,
        due_at REAL NOT NULL,
        created_at REAL NOT NULL,
        expires_at REAL NOT NULL
    ) STRICT;
    INSERT INTO deliveries_of_turns SELECT * FROM deliveries;
    DROP TABLE deliveries;
    ALTER TABLE deliveries_of_turns RENAME TO deliveries;
    CREATE INDEX deliveries_due ON deliveries (channel, due_at);
    CREATE INDEX deliveries_of_turn ON deliveries (turn_id);
    -- Calls that sent one: a delivery goes when it is settled, and a call that was cut off may come again after that.
    CREATE TABLE sent (
        turn_id TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
        call_id TEXT NOT NULL,
        PRIMARY KEY (turn_id, call_id)
    ) STRICT;
    """,
)
