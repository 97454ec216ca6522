"""What form an answer must have: text, JSON that fits a schema, or the call of a tool."""

from dataclasses import dataclass
from typing import Any

from ocg.embedding import grammar


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call; `parameters` is the JSON schema of its arguments."""

    name: str
    description: str
    parameters: dict[str, Any]

    @property
    def spec(self) -> dict[str, Any]:
        """The tool as OpenAI writes it, which is how chat templates read it."""
        about = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": about}


@dataclass(frozen=True, slots=True)
class Form:
    """The form of an answer; by default any text. `grammar` is of the whole answer, and excludes tools."""

    tools: tuple[Tool, ...] = ()
    must_call: bool = False
    grammar: str | None = None

    def call_grammar(self) -> str:
        """Return the grammar of a call of one of the tools. Raises INVALID_REQUEST for schemas that are too large."""
        return grammar.of_calls([(tool.name, tool.parameters) for tool in self.tools], "tools")
