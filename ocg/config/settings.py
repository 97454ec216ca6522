"""The settings of each service: what they are called, what they mean, what they are when nobody says."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from ocg.config import presets, values
from ocg.config.presets import Choice
from ocg.config.values import Price, Thinking
from ocg.errors import Code, OcgError

TOKEN_KEY = "OCG_UI_TOKEN"  # noqa: S105 - the key, not a token
# What they decide by RuntimeDirectory=, and a file that was written for a start without systemd must not undo.
UNITS = "the units"


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of env.config: how its text is read, and what a user needs to know of it."""

    key: str
    default: str
    doc: str
    parse: Callable[[str], Any]
    secret: bool
    systemd: str
    decided_by: str

    def read(self, text: str, source: str) -> Any:
        """Read a value's text. Raises CONFIG_INVALID naming the key, the source and what was expected."""
        try:
            return self.parse(text)
        except ValueError as error:
            shown = "its value" if self.secret else repr(text)
            raise OcgError(
                Code.CONFIG_INVALID, f"{self.key}: {error}, found {shown}", f"correct {self.key} in {source}"
            ) from None


def _setting(
    key: str,
    default: str,
    doc: str,
    parse: Callable[[str], Any] = str,
    *,
    secret: bool = False,
    systemd: str = "",
    decided_by: str = "",
) -> Any:
    """Declare a field; `default` is the text it would have in env.config, `systemd` a variable that stands in.

    `decided_by` is who decides it under systemd, whatever env.config says.
    """
    found = Setting(key, default, doc, parse, secret, systemd, decided_by)
    return field(
        default_factory=lambda: found.read(default, "the source"), repr=not secret, metadata={"setting": found}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What every service and the CLI know."""

    config_file: Path = _setting(
        "OCG_CONFIG", "env.config", "The file settings are read from (--config)", values.path, decided_by=UNITS
    )
    data_dir: Path = _setting(
        "OCG_DATA_DIR", "~/.ocg", "Where databases and models lie", values.path, systemd="STATE_DIRECTORY"
    )
    pid_dir: Path = _setting(
        "OCG_PID_DIR",
        "/tmp/ocg",
        "Where PID files lie (--pid-dir)",
        values.path,
        systemd="RUNTIME_DIRECTORY",
        decided_by=UNITS,
    )
    runtime_dir: Path | None = _setting(
        "OCG_RUNTIME_DIR",
        "",
        "Where ocg-embedding publishes its address; OCG_PID_DIR when empty",
        values.optional_path,
        systemd="RUNTIME_DIRECTORY",
        decided_by=UNITS,
    )
    log_dir: Path = _setting("OCG_LOG_DIR", "/tmp", "Where log files lie when no journal takes them", values.path)
    log_level: str = _setting("OCG_LOG_LEVEL", "info", "debug, info, warning or error", values.level)
    agent_sock: Path = _setting(
        "OCG_AGENT_SOCK", "/tmp/ocg-agent.sock", "ocg-agent's Unix socket", values.path, decided_by=UNITS
    )
    host: str = _setting("OCG_HOST", "127.0.0.1", "The address ocg-gateway listens on, or the path of a Unix socket")
    port: int = _setting("OCG_PORT", "55003", "The port ocg-gateway listens on", values.port)
    allowed_hosts: tuple[str, ...] = _setting(
        "OCG_ALLOWED_HOSTS", "", "Host names, beside this machine's own, that requests may name", values.words
    )
    tls_cert: Path | None = _setting(
        "OCG_TLS_CERT", "", "A PEM file with the certificate and its chain; http when empty", values.optional_path
    )
    tls_key: Path | None = _setting("OCG_TLS_KEY", "", "A PEM file with the certificate's key", values.optional_path)
    ui_token: str = _setting(
        TOKEN_KEY, "", "The token that requests must carry; the one in OCG_DATA_DIR/token when empty", secret=True
    )

    traces: str = _setting(
        "OCG_TRACES",
        "",
        "A collector that spans are sent to by OTLP, such as http://127.0.0.1:4318; none are made when empty",
        values.web_address,
    )

    @property
    def gateway_sock(self) -> Path | None:
        """The Unix socket ocg-gateway listens on, where OCG_HOST names one."""
        return Path(self.host) if self.host.startswith("/") else None

    @property
    def address_dir(self) -> Path:
        """Where the embedding service's address lies."""
        return self.runtime_dir or self.pid_dir

    @property
    def models_dir(self) -> Path:
        """Where pulled models lie."""
        return self.data_dir / "models"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingSettings(Common):
    """What ocg-embedding knows."""

    model_path: Path | None = _setting(
        "EMBEDDING_MODEL_PATH",
        "",
        "A GGUF file to embed with; the default embedding model when empty",
        values.optional_path,
    )
    embedding_port: int = _setting(
        "EMBEDDING_SERVER_PORT",
        "0",
        "A fixed port; the first free one from 50000 to 60000 when 0",
        values.port,
        decided_by="ocg-embedding.socket",
    )
    cache_mb: int = _setting(
        "OCG_EMBEDDING_CACHE",
        "64",
        "MiB on the disk for vectors of texts that may come again; none are kept when 0",
        values.count,
    )
    chat_model: str = _setting(
        "OCG_LOCAL_MODEL", "smollm2-135m", "The local chat model: a catalog name or the path of a GGUF file"
    )
    chat_idle_s: float = _setting(
        "OCG_LOCAL_MODEL_IDLE", "300", "Seconds without a chat after which its model is unloaded", values.seconds
    )
    threads: int = _setting("OCG_THREADS", "0", "Threads a model computes with; one a core when 0", values.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings(Common):
    """What ocg-agent knows."""

    providers: tuple[Choice, ...] = _setting(
        "OCG_PROVIDER",
        "",
        "Providers by name, or name:model, the first one used and the others its fallbacks; OCG_BASE_URL when empty",
        presets.choices,
    )
    provider_urls: presets.Urls = _setting(
        "OCG_PROVIDER_URLS",
        "",
        "Where providers are that are not at their usual place, such as ollama=http://box:11434/v1",
        presets.urls,
        secret=True,
    )
    base_url: str = _setting("OCG_BASE_URL", "", "An OpenAI-compatible API; the local model when empty")
    api_key: str = _setting("OCG_API_KEY", "", "The key for OCG_BASE_URL", secret=True)
    model: str = _setting("OCG_MODEL", "", "The model to ask for at OCG_BASE_URL")
    context_tokens: int = _setting(
        "OCG_CONTEXT_TOKENS",
        "32768",
        "Tokens that a prompt and its answer may have at OCG_BASE_URL, or with a model named in OCG_PROVIDER",
        values.count,
    )
    turn_steps: int = _setting(
        "OCG_TURN_STEPS", "32", "Replies of the model a turn may take; 0 is no limit", values.count
    )
    turn_tokens: int = _setting(
        "OCG_TURN_TOKENS", "1000000", "Tokens a turn may take, prompts included; 0 is no limit", values.count
    )
    turn_time_s: float = _setting("OCG_TURN_TIME", "1800", "Seconds a turn may take", values.seconds)
    approval_time_s: float = _setting(
        "OCG_APPROVAL_TIMEOUT",
        "300",
        "Seconds until a call of a tool that nobody allows counts as denied",
        values.seconds,
    )
    turn_cost: float = _setting("OCG_TURN_COST", "0", "US dollars a turn may cost; 0 is no limit", values.dollars)
    price: Price = _setting(
        "OCG_PRICE",
        "",
        "US dollars a million tokens at the first provider: input/output, or input/output/read from its cache",
        values.price,
    )
    thinking: Thinking = _setting(
        "OCG_THINKING",
        "",
        "How much models think first: off, adaptive (Anthropic), or a number of tokens; the model's own way when empty",
        values.thinking,
    )
    openai_key: str = _setting("OPENAI_API_KEY", "", "The key for OpenAI", secret=True)
    anthropic_key: str = _setting("ANTHROPIC_API_KEY", "", "The key for Anthropic", secret=True)
    google_key: str = _setting("GEMINI_API_KEY", "", "The key for Google's Gemini", secret=True)
    openrouter_key: str = _setting("OPENROUTER_API_KEY", "", "The key for OpenRouter", secret=True)
    groq_key: str = _setting("GROQ_API_KEY", "", "The key for Groq", secret=True)
    deepseek_key: str = _setting("DEEPSEEK_API_KEY", "", "The key for DeepSeek", secret=True)
    moonshot_key: str = _setting("MOONSHOT_API_KEY", "", "The key for Moonshot", secret=True)
    zhipu_key: str = _setting("ZHIPUAI_API_KEY", "", "The key for Zhipu at bigmodel.cn", secret=True)
    zai_key: str = _setting("ZAI_API_KEY", "", "The key for Zhipu at z.ai", secret=True)
    minimax_key: str = _setting("MINIMAX_API_KEY", "", "The key for MiniMax", secret=True)
    qianfan_key: str = _setting("QIANFAN_API_KEY", "", "The key for Baidu Qianfan", secret=True)
    mistral_key: str = _setting("MISTRAL_API_KEY", "", "The key for Mistral", secret=True)
    xai_key: str = _setting("XAI_API_KEY", "", "The key for xAI", secret=True)
    ollama_key: str = _setting("OLLAMA_API_KEY", "", "The key for Ollama, where it wants one", secret=True)
    llama_key: str = _setting("LLAMA_API_KEY", "", "The key for llama-server, where it wants one", secret=True)
    vllm_key: str = _setting("VLLM_API_KEY", "", "The key for vLLM, where it wants one", secret=True)
    auto_recall: bool = _setting("OCG_AUTO_RECALL", "yes", "Add fitting memories to each turn", values.boolean)
    recall_limit: int = _setting("OCG_RECALL_LIMIT", "3", "Memories added to a turn at the most", values.count)
    recall_min_score: float = _setting(
        "OCG_RECALL_MINSCORE", "0.3", "The least similarity of a memory that is added", values.fraction
    )
    auto_capture: str = _setting(
        "OCG_AUTO_CAPTURE",
        "off",
        "Keep lasting facts that the user states: off, on, or ask, which proposes them (ocg memory proposed)",
        values.capture,
    )
    tool_sandbox: str = _setting(
        "OCG_TOOL_SANDBOX",
        "bubblewrap",
        "What confines tools where the units do not: bubblewrap, or none, which lets them do all that you can",
        values.sandbox,
    )
    web_private: tuple[str, ...] = _setting(
        "OCG_WEB_PRIVATE",
        "",
        "Hosts, addresses and networks that web tools may reach though they are not public, such as 192.168.1.0/24",
        values.words,
    )
    search: str = _setting(
        "OCG_SEARCH", "", "What searches the web: searxng or brave; whichever is set up when empty", values.engine
    )
    search_url: str = _setting(
        "OCG_SEARCH_URL", "", "Where SearXNG is, such as http://127.0.0.1:8888", values.web_address, secret=True
    )
    brave_key: str = _setting("BRAVE_API_KEY", "", "The key for Brave Search", secret=True)
    workspace: Path | None = _setting(
        "OCG_WORKSPACE",
        "",
        "The folder with the files that you and the agent share; OCG_DATA_DIR/workspace when empty",
        values.optional_path,
    )

    @property
    def workspace_dir(self) -> Path:
        """The folder with the files that the user and the agent share."""
        return self.workspace or self.data_dir / "workspace"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings(Common):
    """What ocg-gateway knows."""

    cors_origins: frozenset[str] = _setting(
        "OCG_CORS_ORIGINS",
        "",
        "Origins of other web pages that may use the API with a token, such as https://app.example",
        values.origins,
    )
    trusted_proxies: values.Networks = _setting(
        "OCG_TRUSTED_PROXIES",
        "",
        "Addresses and networks of proxies, and unix for OCG_HOST's socket, whose X-Forwarded-* headers count",
        values.networks,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings(Common):
    """What is done, beside a record in the journal, when a service gives up."""

    alert_command: tuple[str, ...] = _setting(
        "OCG_ALERT_COMMAND", "", "A program, with arguments, that is run when a service gives up", values.command
    )
    alert_webhook: str = _setting(
        "OCG_ALERT_WEBHOOK",
        "",
        "An address that is told by POST when a service gives up",
        values.web_address,
        secret=True,
    )


S = TypeVar("S", bound=Common)


def declared() -> dict[str, Setting]:
    """Every setting by key, in the order of declaration."""
    classes = (Common, EmbeddingSettings, AgentSettings, GatewaySettings, AlertSettings)
    found = (item.metadata["setting"] for cls in classes for item in fields(cls))
    return {one.key: one for one in found}


def keys_of(cls: type[Common]) -> frozenset[str]:
    """Return the keys of a class's settings."""
    return frozenset(item.metadata["setting"].key for item in fields(cls))


def value_of(settings: Common, key: str) -> Any:
    """Return what a setting has, by its key."""
    return next(getattr(settings, item.name) for item in fields(settings) if item.metadata["setting"].key == key)


def load(
    cls: type[S],
    *,
    args: Mapping[str, str] | None = None,
    credentials: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    file: Mapping[str, str] | None = None,
) -> S:
    """Build settings from maps of key to text: command line, credentials, environment, env.config, default.

    An empty text counts as not given. Raises CONFIG_INVALID with the key, its source and what was expected.
    """
    sources = (
        ("the command line", args or {}),
        ("the credential", credentials or {}),
        ("the environment", environ or {}),
        ("env.config", file or {}),
    )
    found: dict[str, Any] = {}
    for item in fields(cls):
        setting: Setting = item.metadata["setting"]
        for source, texts in sources:
            if text := texts.get(setting.key):
                found[item.name] = setting.read(text, source)
                break
        else:
            if text := (environ or {}).get(setting.systemd):
                found[item.name] = setting.read(text, f"${setting.systemd}")
    return cls(**found)


def changed(old: Common, new: Common) -> tuple[str, ...]:
    """Return the keys of the settings in which two objects of one class differ."""
    both = ((item.metadata["setting"], getattr(old, item.name), getattr(new, item.name)) for item in fields(old))
    return tuple(setting.key for setting, before, after in both if before != after)


def replaced(old: S, new: S, keys: Collection[str]) -> S:
    """Return `old` with the settings of these keys as `new` has them."""
    names = (item.name for item in fields(old) if item.metadata["setting"].key in keys)
    return replace(old, **{name: getattr(new, name) for name in names})
