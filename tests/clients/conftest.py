"""Where the live stack is, for clients run by a Python of their own (tests/service/test_gateway_clients.py)."""

import json
import os
import urllib.request
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Stack:
    """The gateway's address and a token for it. `custom/scripted` does as the message says, and the agent asks it too.

    It calls the tool that a message says to "use", tells what the tool's result said, fails with the status that a
    message names as "fails with 429", never ends when it is told so, writes JSON where a form is asked for, and else
    says what the user said.
    """

    url: str
    token: str
    provider: str

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    def hung_up(self) -> bool:
        """Whether the model's caller has left since this was asked last; waits for it for some seconds."""
        with urllib.request.urlopen(f"{self.provider}/hung_up", timeout=20) as response:
            return bool(json.load(response)["hung_up"])


@pytest.fixture(scope="session")
def stack() -> Stack:
    """The stack that is up."""
    return Stack(os.environ["OCG_TEST_URL"], os.environ["OCG_TEST_TOKEN"], os.environ["OCG_TEST_PROVIDER"])


MODELS = ["ocg", "custom/scripted"]
LOCAL = "smollm2-135m"


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    """The agent, and a provider's model."""
    name: str = request.param
    return name


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
