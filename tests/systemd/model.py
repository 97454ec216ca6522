"""A scripted model as a program: `python -m tests.systemd.model PORT`.

It answers `you said: …`, slowly; told `exec: …` it has that run, and says what came of it.
"""

import json
import sys
import time

from tests.provider import Exchange, ScriptedProvider, calls, says, user_said

_WORD_S = 0.05


def obeys(exchange: Exchange) -> None:
    """Do as the user says."""
    last, said = exchange.body["messages"][-1], user_said(exchange.body)
    if last["role"] == "tool":
        says(str(last["content"]))(exchange)
    elif said.startswith("exec: "):
        calls("exec", json.dumps({"command": said.removeprefix("exec: ")}))(exchange)
    else:
        _slowly_echoes(exchange, said)


def _slowly_echoes(exchange: Exchange, said: str) -> None:
    """Answer with what the user said last, over a second or so."""
    exchange.begin()
    exchange.delta(role="assistant", content="")
    for at, word in enumerate(f"you said: {said}".split(" ")):
        exchange.delta(content=word if at == 0 else f" {word}")
        time.sleep(_WORD_S)
    exchange.end()


if __name__ == "__main__":
    ScriptedProvider(obeys, port=int(sys.argv[1])).serve_forever()
