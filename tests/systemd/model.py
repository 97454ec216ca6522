"""A scripted model as a program: `python -m tests.systemd.model PORT`. It answers `you said: …`, slowly."""

import sys
import time

from tests.provider import Exchange, ScriptedProvider, user_said

_WORD_S = 0.05


def slowly_echoes(exchange: Exchange) -> None:
    """Answer with what the user said last, over a second or so."""
    exchange.begin()
    exchange.delta(role="assistant", content="")
    for at, word in enumerate(f"you said: {user_said(exchange.body)}".split(" ")):
        exchange.delta(content=word if at == 0 else f" {word}")
        time.sleep(_WORD_S)
    exchange.end()


if __name__ == "__main__":
    ScriptedProvider(slowly_echoes, port=int(sys.argv[1])).serve_forever()
