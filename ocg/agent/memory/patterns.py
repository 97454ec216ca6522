"""Lasting facts by patterns, for a model too small to be asked: few are found, and those are as the user said them.

The categories are the original's: facts of a person, preferences, decisions, and what is to be remembered by name.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MAX_CHARS = 300
_MIN_CHARS = 4
_MAX_READ_CHARS = 8000
_FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,}).*?(?:^[ \t]*\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_QUOTED = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
# A point within a word, or after a title, ends no sentence.
_INNER = r"(?:\.(?=\S)|(?<=\bSt)\.|(?<=\b[DM]r)\.|(?<=\bMs)\.|(?<=\bMrs)\.)"
_SENTENCE = re.compile(rf"[^.!?。！？\n]+(?:{_INNER}[^.!?。！？\n]+)*[.!?。！？]?")
_ANIMAL = "cats?|dogs?|horses?|parrots?|rabbits?|hamsters?|turtles?"
_CHILD = "sons?|daughters?|child|children|kids"
_RELATIVE = "wife|husband|partner|son|daughter|mother|father|mom|dad|brother|sister|cat|dog|boss|manager|doctor|team"
_PATTERNS = (
    ("fact", r"(?:please )?(?:remember|don't forget|note) (?:that )?(?:i|my|we|our)\b.+"),
    ("fact", r"my (?:full |first |last )?name is .+"),
    ("fact", r"(?:i am|i'm) (?:allergic to|vegan|vegetarian|left-handed|colou?r-blind|from|married to) ?.*"),
    ("fact", r"i (?:live|was born|grew up) in .+"),
    ("fact", r"i (?:work|am working) (?:as|at|for) .+"),
    ("fact", r"my (?:birthday|address|job|profession|mother tongue|native language|home town|time zone) is .+"),
    ("fact", rf"my (?:{_RELATIVE})(?:'s name)? (?:is (?:called|named)|lives in|works as|is allergic to|is) .+"),
    (
        "fact",
        rf"i (?:have|own) (?:an?|one|two|three|four|\d+) (?:\w+ )?(?:{_ANIMAL}|{_CHILD})\b.*",
    ),
    ("preference", r"i (?:always|never|usually) (?:prefer|use|want|eat|drink|work|sleep|travel|wear|read|write)\b.+"),
    ("preference", r"i (?:really )?(?:prefer|like|love|enjoy|hate|dislike|can't stand) .+"),
    ("preference", r"my favou?rite \w[\w ]* (?:is|are) .+"),
    ("decision", r"(?:we|i)(?:'ve| have)? (?:decided|agreed) (?:to|that|on|against) .+"),
    ("fact", r"(?:请|要)?(?:记住|记得|别忘了|不要忘记)[，,：:\s]*(?:我|我们).+"),
    ("fact", r"我(?:的名字)?(?:叫|是一名|是一个|是一位|住在|出生在|来自).+"),
    ("fact", r"我的(?:名字|生日|职业|工作|地址|家乡|母语)(?:叫|是|在).+"),
    (
        "fact",
        r"我(?:妻子|老婆|丈夫|老公|儿子|女儿|妈妈|爸爸|哥哥|弟弟|姐姐|妹妹|的?猫|的?狗|老板)(?:叫|是|住在|在|对).+",
    ),
    (
        "fact",
        r"我(?:对.+过敏|养了.+|有[一两二三四五六\d]+(?:只|个|条)(?:猫|狗|孩子|儿子|女儿|兔子).*|在.+(?:工作|上班))",
    ),
    ("preference", r"我(?:很|最|非常|特别|更)?(?:喜欢|讨厌|不喜欢|偏好|习惯|爱吃|爱喝|不吃|不喝|从不|总是).+"),
    ("decision", r"我们?(?:已经)?(?:决定|约定|商定).+"),
)
_STATED = tuple((kind, re.compile(pattern, re.IGNORECASE | re.DOTALL)) for kind, pattern in _PATTERNS)
# What sounds like a fact and is about the moment, this conversation, or nothing real.
_PASSING = re.compile(
    r"\b(?:if|suppose|imagine|pretend|would|could|today|tomorrow|yesterday|right now|at the moment|currently|tonight)\b"
    r"|\bexample\b|\b(?:like|love) (?:to (?:ask|know|see|have)|you)\b"
    r"|\b(?:prefer|like|love|enjoy|hate|dislike|stand) (?:it|this|that|these|those|your|how)\b"
    r"|\b(?:prefer|like|love|enjoy|hate|dislike|stand) the (?:answer|way|idea|first|second)\b"
    r"|如果|假如|假设|比如|例如|今天|明天|昨天|现在|刚才|这个|那个|你的|你说|是不是|吗|呢",
    re.IGNORECASE,
)
# What must not lie in a memory that nobody asked for.
_SECRET = re.compile(
    r"passw|passphrase|passcode|\bpin\b|\bsecret|api[ _-]?key|\btoken\b|credential|private key|credit card|\biban\b"
    r"|\bcvv\b|social security|密码|口令|密钥|令牌|银行卡|信用卡|身份证|验证码"
    r"|\b(?:sk|ghp|xox\w|AKIA)[-_\w]{8,}|[A-Za-z0-9+/_-]{32,}|\d(?:[ -]?\d){11,}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Stated:
    """A fact that a user stated, in a sentence that stands on its own."""

    text: str
    kind: str


def is_secret(text: str) -> bool:
    """Whether a text may hold a secret."""
    return _SECRET.search(text) is not None


def own_words(message: str) -> str:
    """Return a message without code and what it quotes."""
    return _QUOTED.sub("", _FENCED.sub("", message[:_MAX_READ_CHARS]))


def stated(message: str) -> Iterator[Stated]:
    """Find the facts that a message states, as it states them."""
    for found in _SENTENCE.finditer(own_words(message)):
        sentence = found[0].strip()
        if not _MIN_CHARS <= len(sentence) <= _MAX_CHARS or sentence.endswith(("?", "？")):
            continue
        if _PASSING.search(sentence) or is_secret(sentence):
            continue
        kind = next((kind for kind, pattern in _STATED if pattern.match(sentence)), None)
        if kind is not None:
            yield Stated(_reported(sentence), kind)


def _reported(sentence: str) -> str:
    is_chinese = re.search(r"[\u4e00-\u9fff]", sentence) is not None
    return f"用户说：{sentence}" if is_chinese else f"The user said: {sentence}"
