"""The providers that are known by name: where they are, which key they take, and what they have by default.

The facts are from the providers' own documentation as of November 2026, where it could be had.
"""

from dataclasses import dataclass
from enum import StrEnum

from ocg.config.values import web_address

LOCAL = "local"
CUSTOM = "custom"


class Dialect(StrEnum):
    """Which API a provider speaks."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    LOCAL = "local"


class Server(StrEnum):
    """Which program of the user's own is asked for its model and the model's context."""

    NONE = ""
    OLLAMA = "ollama"
    LLAMA = "llama-server"
    VLLM = "vllm"


@dataclass(frozen=True, slots=True)
class Preset:
    """A provider known by name; `context_tokens` and `takes_images` are those of its default model.

    A model that `thinks` without being asked to needs room for that beside its answer.
    """

    name: str
    title: str
    base_url: str = ""
    key: str = ""
    model: str = ""
    context_tokens: int = 0
    takes_images: bool = False
    thinks: bool = False
    dialect: Dialect = Dialect.OPENAI
    server: Server = Server.NONE

    @property
    def needs_key(self) -> bool:
        """Whether it answers nobody without a key."""
        return bool(self.key) and self.server is Server.NONE and self.name != CUSTOM


PRESETS = (
    Preset(LOCAL, "the local model of ocg-embedding", dialect=Dialect.LOCAL),
    Preset(CUSTOM, "the API at OCG_BASE_URL", key="OCG_API_KEY"),
    Preset(
        "openai",
        "OpenAI",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        "gpt-5.5",
        # Of 1,050,000; a longer prompt costs twice as much.
        272_000,
        takes_images=True,
        thinks=True,
    ),
    Preset(
        "anthropic",
        "Anthropic",
        "https://api.anthropic.com",
        "ANTHROPIC_API_KEY",
        "claude-sonnet-5-5",
        1_000_000,
        takes_images=True,
        thinks=True,
        dialect=Dialect.ANTHROPIC,
    ),
    Preset(
        "google",
        "Google",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "GEMINI_API_KEY",
        "gemini-flash-latest",
        1_048_576,
        takes_images=True,
        thinks=True,
    ),
    Preset(
        "openrouter",
        "OpenRouter",
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
        "openrouter/auto",
        # The least that the models it chooses among have.
        128_000,
        takes_images=True,
        thinks=True,
    ),
    Preset(
        "groq",
        "Groq",
        "https://api.groq.com/openai/v1",
        "GROQ_API_KEY",
        "openai/gpt-oss-120b",
        131_072,
        thinks=True,
    ),
    Preset(
        "deepseek",
        "DeepSeek",
        "https://api.deepseek.com",
        "DEEPSEEK_API_KEY",
        "deepseek-flash",
        1_000_000,
        takes_images=True,
        thinks=True,
    ),
    Preset(
        "moonshot",
        "Moonshot",
        "https://api.moonshot.ai/v1",
        "MOONSHOT_API_KEY",
        "kimi-k2.6",
        262_144,
        takes_images=True,
        thinks=True,
    ),
    Preset(
        "zhipu",
        "Zhipu GLM",
        "https://open.bigmodel.cn/api/paas/v4",
        "ZHIPUAI_API_KEY",
        "glm-5",
        131_072,
        thinks=True,
    ),
    Preset("zai", "Zhipu GLM (Z.ai)", "https://api.z.ai/api/paas/v4", "ZAI_API_KEY", "glm-5", 131_072, thinks=True),
    Preset(
        "minimax",
        "MiniMax",
        "https://api.minimax.io/v1",
        "MINIMAX_API_KEY",
        "MiniMax-M2.7",
        204_800,
        thinks=True,
    ),
    Preset(
        "qianfan",
        "Baidu Qianfan",
        "https://qianfan.baidubce.com/v2",
        "QIANFAN_API_KEY",
        "ernie-5.1",
        128_000,
        thinks=True,
    ),
    Preset(
        "mistral",
        "Mistral",
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        "mistral-medium-latest",
        256_000,
        takes_images=True,
    ),
    Preset(
        "xai",
        "xAI",
        "https://api.x.ai/v1",
        "XAI_API_KEY",
        "grok-4.5",
        500_000,
        takes_images=True,
        thinks=True,
    ),
    # Without a model of their own: the server is asked. 4,096 tokens are what Ollama gives a model on a small machine.
    Preset(
        "ollama",
        "Ollama",
        "http://127.0.0.1:11434/v1",
        "OLLAMA_API_KEY",
        context_tokens=4096,
        server=Server.OLLAMA,
    ),
    Preset(
        "llama-server",
        "llama-server",
        "http://127.0.0.1:8080/v1",
        "LLAMA_API_KEY",
        context_tokens=4096,
        server=Server.LLAMA,
    ),
    Preset("vllm", "vLLM", "http://127.0.0.1:8000/v1", "VLLM_API_KEY", context_tokens=4096, server=Server.VLLM),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A provider of an ordered list, and the model that is asked for there, where one is named."""

    preset: Preset
    model: str = ""

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.preset.name}:{self.model}" if self.model else self.preset.name


Urls = tuple[tuple[str, str], ...]


def urls(text: str) -> Urls:
    """Read where providers are, as name=URL parted by commas or white space."""
    found = []
    for word in text.replace(",", " ").split():
        name, is_there, url = word.partition("=")
        if not is_there or not web_address(url) or find(name).name in {LOCAL, CUSTOM}:
            raise ValueError("expected name=URL for each, the names being those of OCG_PROVIDER")
        found.append((name, url.rstrip("/")))
    return tuple(found)


def find(name: str) -> Preset:
    """Return a preset. Raises ValueError saying which there are."""
    found = next((one for one in PRESETS if one.name == name), None)
    if found is None:
        raise ValueError(f"expected names among {', '.join(one.name for one in PRESETS)}")
    return found


def choices(text: str) -> tuple[Choice, ...]:
    """Read an ordered list of providers, each a name or `name:model`, parted by commas or white space."""
    found = []
    for word in text.replace(",", " ").split():
        name, _, model = word.partition(":")
        found.append(Choice(find(name), model))
    if len({str(one) for one in found}) < len(found):
        raise ValueError("expected each provider once")
    return tuple(found)
