"""The script of the page's model: what it answers depends on a word in the message."""

from tests.provider import Exchange, calls, fails, says, user_said

LONG = " ".join(f"word{number}" for number in range(150))
MARKDOWN = """## A heading

Some `inline code`, **bold text** and a [link](https://example.com).

1. First
2. with *two* items

```python
def reverse(items: list[int]) -> list[int]:
    return items[::-1]  # a copy
```

| Kind | Speed |
|---|---:|
| Unix socket | 1.0 |
"""
EVIL = (
    'Look <img src=x onerror="window.hacked=1"> and [click](javascript:window.hacked=2) '
    '<p style="color:red" onclick="window.hacked=3">raw</p> <script>window.hacked=4</script> '
    "![pixel](http://198.51.100.1/pixel.png) [data](data:text/html,<script>window.hacked=5</script>) "
    '<iframe srcdoc="<script>top.hacked=6</script>"></iframe> the end'
)
PLAIN = "A Unix socket lets two programs on one machine talk."

_WORD_S = 0.02
_TEXTS = {"markdown": MARKDOWN, "evil": EVIL, "time": "It is time for tea."}


class Model:
    """Plays the script. The word "fail" fails once."""

    def __init__(self) -> None:
        self._has_failed = False

    def __call__(self, exchange: Exchange) -> None:
        asked = user_said(exchange.body)
        if "fail" in asked and not self._has_failed:
            self._has_failed = True
            fails(400, {"error": {"message": "the scripted model is out of order"}})(exchange)
        elif "time" in asked and exchange.body["messages"][-1]["role"] != "tool":
            calls(_name_of_clock(exchange), "{}")(exchange)
        elif "long" in asked:
            _says_slowly(exchange)
        else:
            says(next((text for word, text in _TEXTS.items() if word in asked), PLAIN))(exchange)


def _name_of_clock(exchange: Exchange) -> str:
    names = [str(tool["function"]["name"]) for tool in exchange.body["tools"]]
    return next(name for name in names if "time" in name)


def _says_slowly(exchange: Exchange) -> None:
    exchange.begin()
    for word in LONG.split(" "):
        if exchange.closing.wait(_WORD_S):
            return
        exchange.delta(content=f"{word} ")
    exchange.end()
