"""The manual pages: ocg(1), the services' in section 8, and env.config(5)."""

import argparse
import re
from collections import Counter
from collections.abc import Callable, Iterator

import sample
from ocg import __version__
from ocg.agent.__main__ import SUMMARY as AGENT
from ocg.cli.__main__ import build_parser
from ocg.config import AgentSettings, Common, EmbeddingSettings, GatewaySettings
from ocg.config.settings import Setting
from ocg.embedding.__main__ import SUMMARY as EMBEDDING
from ocg.errors import Code
from ocg.gateway.__main__ import SUMMARY as GATEWAY
from ocg.lifecycle import service
from roff import Page

_STATUSES = {
    0: "It is done.",
    1: "It failed; the message says why, and what to do.",
    2: "The command line is wrong.",
    3: "Nothing runs.",
    69: "Something that is needed is not there.",
    70: "A bug of OCG's, with a traceback. Please report it with what `ocg version` says.",
    78: "What no restart mends: a setting, a port that is taken, a damaged file. systemd does not try again.",
}
_FILES = {
    "/etc/ocg/env.config": "Settings for the system's units; see `env.config`(5). Only `ocg provider use` writes it.",
    "/var/lib/ocg": "Conversations and memories (`agent.db`), vectors (`vectors.db`), models, tokens and rate limits.",
    "/usr/share/ocg/models": "Models that packages brought.",
    "/run/ocg": "PID files and sockets; `/tmp/ocg` leads there.",
    "~/.ocg, /tmp/ocg, /tmp/ocg-*.log": "The same, and logs, for services that run without systemd.",
}
_CAGES = {
    "ro": "The workspace is read, and there is no network.",
    "rw": "The workspace is written, too.",
    "net": "There is the network as well, but not what listens on this machine alone.",
    "ext": "The same for programs of the user's own, which may run for as long as they like.",
}
_SERVICES = ("ocg-embedding(8)", "ocg-agent(8)", "ocg-gateway(8)")
_ARGUMENTS = {"": "*{}*", "?": "[*{}*]", "*": "[*{}* ...]", "+": "*{}* ...", argparse.PARSER: "*{}* ..."}
_MANY = 3
_SYSTEMD = "Under systemd, standard error goes to the journal; there is no log file, and nothing to rotate."


def write(day: str) -> Iterator[Page]:
    """Make all pages; `day` is the date that stands on them."""

    def page(name: str, section: int, summary: str) -> Page:
        return Page(name, section, day, __version__, summary)

    yield _command(page)
    yield _service(
        page("ocg-embedding", 8, EMBEDDING),
        EmbeddingSettings,
        "It hosts every llama.cpp model (embeddings, and the local chat model while somebody chats) and the vectors,"
        " which FAISS searches. It listens on 127.0.0.1, on the first free port from 50000 to 60000, or on the socket"
        " that `ocg-embedding.socket` hands it, and publishes the address in the file `embedding.addr` beside its"
        " PID file.",
        "A model that is already there when it starts takes no network; it opens no connection to anywhere.",
    )
    yield _service(
        page("ocg-agent", 8, AGENT),
        AgentSettings,
        "It takes messages on a Unix socket and runs a turn for each: the model, its tools, what it remembers. Every"
        " step is on the disk before anybody hears of it, and a turn that was cut off goes on where it stopped.",
        "Its socket belongs to `ocg-agent.socket`, so that who connects during a restart waits and is not refused.",
    )
    yield _service(
        page("ocg-gateway", 8, GATEWAY),
        GatewaySettings,
        "It serves the page, OpenAI's API and a WebSocket on 127.0.0.1:55003, to whoever has the token. It keeps no"
        " conversation: that is `ocg-agent`(8)'s.",
        "`ocg open` prints a link that logs a browser in. Requests carry the token as `Authorization: Bearer`.",
    )
    yield _tool(page("ocg-tool", 8, "OCG's tools, each call in a cage of its own"))
    yield _env_config(page("env.config", 5, "settings of OCG"))


def _command(make: Callable[[str, int, str], Page]) -> Page:
    parser = build_parser()
    page = make("ocg", 1, (parser.description or "").removeprefix("OCG, ").rstrip("."))
    page.section("Synopsis")
    page.say("`ocg` *COMMAND* [*OPTIONS*]", "`ocg` *COMMAND* `--help`")
    page.section("Description")
    page.say(
        "OCG is an assistant of your own. It consists of three services, `ocg-embedding`(8), `ocg-agent`(8) and"
        " `ocg-gateway`(8), and of this command, which starts, stops and watches them and talks to the agent.",
        "Where systemd runs and has OCG's units, `ocg` asks systemd for everything over D-Bus, and `systemctl` does the"
        " same; elsewhere, or with a configuration file of its own, it runs the services itself. Starting and stopping"
        " the system's services takes root or membership of the group `ocg`.",
    )
    commands = list(_children(parser))
    shared = _shared(child for _, _, child in commands)
    page.section("Commands")
    for name, _, child in commands:
        _document(page, name, child, shared)
    page.section("Options of all commands")
    for term, text in shared.items():
        page.define(term, text)
    page.section("Exit status")
    for status, text in _STATUSES.items():
        page.define(f"`{status}`", text, *_codes_of(status))
    page.section("Files")
    for path, text in _FILES.items():
        page.define(f"`{path}`", text)
    page.section("Examples")
    page.show(["# systemctl start ocg-gateway", '$ ocg chat "What do bees make?"', "$ git diff | ocg chat Review this"])
    page.show(["$ ocg models pull qwen2.5-1.5b", "$ ocg logs agent --since 10m"])
    _see_also(
        page, "ocg-embedding(8)", "ocg-agent(8)", "ocg-gateway(8)", "env.config(5)", "systemctl(1)", "journalctl(1)"
    )
    return page


def _service(page: Page, settings: type[Common], *description: str) -> Page:
    name = page.file.removesuffix(".8")
    parser = service.build_parser(name, "")
    page.section("Synopsis")
    page.say(_synopsis(parser), f"`systemctl start {name}`")
    page.section("Description")
    page.say(*description, _SYSTEMD)
    page.section("Options")
    for term, text in _options(parser):
        page.define(term, text)
    page.section("Settings")
    page.say("Those of this service alone; the rest, and where they stand, is in `env.config`(5).")
    _settings(page, settings)
    page.section("Signals")
    page.define("SIGTERM, SIGINT", "End: finish or put aside what runs, save, and exit. A second one hurries.")
    page.define("SIGHUP", "Read the configuration again. What is wrong with it is logged, and then nothing changes.")
    page.section("Exit status")
    for status in (0, 2, 69, 70, 78):
        page.define(f"`{status}`", _STATUSES[status], *_codes_of(status))
    page.section("Files")
    for path in ("/etc/ocg/env.config", "/var/lib/ocg"):
        page.define(f"`{path}`", _FILES[path])
    page.define(f"`/run/ocg/{name}.pid`", "The PID file, which the service holds locked while it runs.")
    _see_also(page, "ocg(1)", "env.config(5)", "systemd.service(5)", "systemd.exec(5)")
    return page


def _tool(page: Page) -> Page:
    page.section("Synopsis")
    page.say("`ocg-tool` *WORKSPACE*")
    page.section("Description")
    page.say(
        "It does what `ocg-agent`(8) asks on its standard input, a socket, with *WORKSPACE* as its folder: reads or"
        " writes a file, or runs a program and passes on what that writes. Then it ends, and with it all that it has"
        " started. Nobody calls it by hand.",
        "The agent connects to one of the sockets below, and systemd answers with a unit of its own for this call. All"
        " run as the user `ocg-tool`, see no other process, and nothing of OCG's data, of homes and of `/run`. A call"
        " has 2 GiB of memory and 512 processes at the most.",
        "Under a user's own manager, or none, the agent starts it in a cage that `bwrap`(1) makes.",
    )
    page.section("Units")
    for cage, text in _CAGES.items():
        page.define(f"`ocg-tool-{cage}.socket`, `ocg-tool-{cage}@.service`", text)
    page.define("`ocg-tool-.service.d/10-system.conf`", "What all cages have in common, with the reason for each line.")
    page.section("Files")
    page.define("`/var/lib/ocg/workspace`", "What tools work in. The agent and they share it by the group `ocg-tool`.")
    _see_also(page, "ocg(1)", "ocg-agent(8)", "systemd.socket(5)", "systemd.exec(5)", "bwrap(1)")
    return page


def _env_config(page: Page) -> Page:
    page.section("Synopsis")
    page.say("`/etc/ocg/env.config`", "`~/.config/ocg/env.config`", "`./env.config`")
    page.section("Description")
    page.say(
        "Lines of *KEY*`=`*VALUE* in the grammar that systemd has for `EnvironmentFile=` (`systemd.exec`(5)): values"
        " may be quoted, and a line that begins with `#` or `;` is a comment. A line that does not parse is an error,"
        " and nothing starts.",
        "The system's units read the first of these files, those of a user's manager the second, and services without"
        " systemd the third, or the one that `--config` or `OCG_CONFIG` names.",
        "The command line wins over credentials, these over the environment, that over the file, and the file over the"
        " default. An empty value counts as none. `ocg reload` takes changes over as far as that is possible without an"
        " interruption, and says what needs `ocg restart`.",
    )
    page.section("Settings")
    for title, kind in sample.GROUPS.items():
        page.part(title)
        _settings(page, kind)
    page.section("Secrets")
    page.say(
        "The file is `root`'s, and readable by the group `ocg`. A secret need not stand in it: under systemd, a file in"
        " `/etc/credstore` that is named as its setting and readable by `root` alone wins over it."
    )
    page.show(["# install -D -m 600 key.txt /etc/credstore/OCG_API_KEY", "# systemctl restart ocg-agent"])
    page.section("Example")
    page.show(["OCG_BASE_URL=https://api.example.org/v1", "OCG_MODEL=large", "OCG_LOG_LEVEL=debug"])
    _see_also(page, "ocg(1)", *_SERVICES, "systemd.exec(5)")
    return page


def _settings(page: Page, kind: type[Common]) -> None:
    for setting in sample.settings_of(kind):
        page.define(f"`{setting.key}=`{_default(setting)}", sample.describe(setting))


def _default(setting: Setting) -> str:
    return f"`{setting.default}`" if setting.default else ""


def _document(page: Page, name: str, parser: argparse.ArgumentParser, shared: dict[str, str]) -> None:
    """Add a command, and those below it."""
    page.part(parser.prog)
    page.say(_synopsis(parser), f"{_sentence(parser.description)} {parser.epilog or ''}".rstrip())
    for term, text in _options(parser):
        if term not in shared:
            page.define(term, text)
    for below, _, child in _children(parser):
        _document(page, f"{name} {below}", child, shared)


def _children(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Yield the name, the summary and the parser of each command that --help lists."""
    for action in parser._actions:  # noqa: SLF001 - argparse offers no other way
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            for listed in action._choices_actions:  # noqa: SLF001 - as above
                yield listed.dest, str(listed.help), action.choices[listed.dest]


def _options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Yield each option or argument, and what it is."""
    for action in parser._actions:  # noqa: SLF001 - as above
        if not isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            value = f" *{action.metavar}*" if action.metavar else ""
            names = ", ".join(f"`{name}`" for name in action.option_strings)
            yield f"{names}{value}".strip(), _sentence(action.help)


def _shared(parsers: Iterator[argparse.ArgumentParser]) -> dict[str, str]:
    """Return the options that mean the same in so many commands that each would be tedious to read."""
    found = Counter(option for parser in parsers for option in _options(parser))
    return {term: text for (term, text), count in found.items() if count >= _MANY}


def _synopsis(parser: argparse.ArgumentParser) -> str:
    """Return how a command is used."""
    arguments = (action for action in parser._actions if not action.option_strings)  # noqa: SLF001 - as above
    words = (_ARGUMENTS[str(action.nargs or "")].format(action.metavar) for action in arguments)
    return " ".join((f"`{parser.prog}` [*OPTIONS*]", *words))


def _codes_of(status: int) -> tuple[str, ...]:
    """Return a sentence with the errors that end a program with this status, if there are any."""
    codes = ", ".join(f"`{code}`" for code in Code if code.exit_status == status)
    return (f"Errors: {codes}.",) if codes else ()


def _sentence(text: str | None) -> str:
    return f"{(text or '')[:1].upper()}{(text or '')[1:]}."


def _see_also(page: Page, *others: str) -> None:
    page.section("See also")
    page.say(", ".join(re.sub(r"(.+)(\(.\))", r"`\1`\2", one) for one in others))
