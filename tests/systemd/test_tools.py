"""Tools in the units that systemd starts for them: what they can and cannot do, and that they end with their call.

The limits of control groups (MemoryMax= and the like) are not held in a container on control groups of version 1, as
in the tests: there ocg-tool's own guard holds, and the units are asked for what they say.
"""

import json
import re
from typing import Any

import pytest

from tests.attacks import ATTACKS, LIES, OWN_SERVICES
from tests.systemd.box import CHECKOUT, Box

_CAGES = ("ro", "rw", "net", "ext")
_SOCKETS = tuple(f"ocg-tool-{cage}.socket" for cage in _CAGES)
_WORKSPACE = "/var/lib/ocg/workspace"
_SECRET = "a-secret-of-the-tests"
_ALLOW = '[[rule]]\ntool = "exec"\ndecision = "allow"\n'


@pytest.fixture
def workspace(box: Box) -> str:
    """The workspace as an installation makes it, and a policy by which commands are not asked about."""
    box.script(f"""
        find {_WORKSPACE} -mindepth 1 -delete
        printf '%s' '{_ALLOW}' > /var/lib/ocg/policy.toml
        chown ocg:ocg /var/lib/ocg/policy.toml
        chmod 600 /var/lib/ocg/policy.toml
        systemctl start {" ".join(_SOCKETS)}
    """)
    return _WORKSPACE


def _as_agent(box: Box, *command: str, env: tuple[str, ...] = (), timeout_s: float = 90) -> str:
    """Run a program of the tests' as the agent's user and return what it wrote."""
    python = f"{CHECKOUT}/.venv/bin/python"
    environ = ("env", "-C", "/", f"PYTHONPATH={CHECKOUT}", *env)
    return box.run("runuser", "-u", "ocg", "--", *environ, python, *command, timeout_s=timeout_s).stdout


def _turn(box: Box, message: str) -> dict[str, Any]:
    """Have the agent do a turn and return its last event."""
    ask = ("curl", "-sN", "--unix-socket", "/run/ocg/agent.sock", "-d", json.dumps({"message": message}))
    lines = box.run(*ask, "http://agent/v1/turns").stdout.splitlines()
    found: dict[str, Any] = [json.loads(line[6:]) for line in lines if line.startswith("data: ")][-1]
    return found


@pytest.mark.timeout(900)
def test_every_attack_fails(box: Box, workspace: str) -> None:
    """The escape suite: nothing outside of the cage is read, written, signalled or reached, and no bomb goes off."""
    box.script(f"""
        id carol >/dev/null 2>&1 || useradd -m carol
        printf '%s' {_SECRET} > /home/carol/secret
        chmod 755 /home/carol
        rm -rf /var/lib/ocg/attacked
        install -d -o ocg -g ocg -m 700 /var/lib/ocg/attacked
    """)
    places = ("--workspace", workspace, "--data", "/var/lib/ocg/attacked", "--others", "/home/carol/secret")
    host = ("-m", "tests.attack_host", "systemd", "--sockets", "/run/ocg", *places)
    told = _as_agent(box, *host, env=(f"SECRET={_SECRET}",), timeout_s=800)
    results = {result["name"]: result for result in map(json.loads, told.splitlines())}
    box.run("rm", "-r", "/var/lib/ocg/attacked")
    assert results.keys() == {one.name for one in (*ATTACKS, *OWN_SERVICES, *LIES)}
    bad = [one for one in results.values() if one["has_won"] or one["harm"] or not one["was_tried"]]
    assert not bad, json.dumps(bad, indent=2)
    assert box.run("systemctl", "list-units", "--no-legend", "ocg-tool-*.service").stdout == ""


def test_systemd_ignores_nothing_in_the_cages(box: Box) -> None:
    units = (*_SOCKETS, *(f"ocg-tool-{cage}@1.service" for cage in _CAGES))
    assert box.run("systemd-analyze", "verify", "--man=no", *units).text == ""


@pytest.mark.parametrize("cage", _CAGES)
def test_a_cage_has_limits_and_little_exposure_and_nothing_of_the_services(box: Box, cage: str) -> None:
    unit = f"ocg-tool-{cage}@1.service"
    wanted = {
        "User": "ocg-tool", "MemoryMax": str(2 << 30), "MemorySwapMax": "0", "TasksMax": "512",
        "CPUQuotaPerSecUSec": "4s", "OOMPolicy": "kill", "NoNewPrivileges": "yes", "ProtectSystem": "strict",
        "PrivateDevices": "yes", "KillMode": "control-group",
        "PrivateNetwork": "yes" if cage in {"ro", "rw"} else "no",
        "RuntimeMaxUSec": "infinity" if cage == "ext" else "1h 5min",
    }  # fmt: skip
    assert box.show(unit, *wanted) == wanted
    assert "ocg-.service.d/10-system.conf" not in box.show(unit, "DropInPaths")["DropInPaths"], "it has the secrets"
    text = box.run("systemd-analyze", "--no-pager", "security", unit, check=False).stdout
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", text)
    assert found, text
    # It takes what unshare is given over its own namespaces for a right over the machine.
    assert float(found[1]) <= 3.5, text


def test_the_model_has_a_command_run_and_learns_what_came_of_it(box: Box, model: str, workspace: str) -> None:
    del model
    box.run("ocg", "start")
    said = _turn(box, "exec: id -un; pwd; echo made > made; stat -c '%U %a' made SOUL.md; cat SOUL.md | wc -l")["text"]
    assert f"ocg-tool\n{workspace}\nocg-tool 660\nnobody 640\n2\n[exit status 0]" in said
    assert box.run("runuser", "-u", "ocg", "--", "cat", f"{workspace}/made").stdout == "made\n", "the agent reads it"
    noted = _turn(box, "exec: mkdir memory/sub && echo 'Bees make honey.' > memory/sub/bees.md")["text"]
    assert "[exit status 0]" in noted
    known = "curl -s --unix-socket /run/ocg/agent.sock http://agent/v1/memories | grep -q honey"
    box.wait_until(known)


def test_real_work_is_possible(box: Box, workspace: str) -> None:
    """What people have tools do: version control, compilers, interpreters, servers that are tested on 127.0.0.1."""
    del workspace
    served = (
        "import threading, urllib.request, http.server as h;"
        " s = h.ThreadingHTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler);"
        " threading.Thread(target=s.serve_forever, daemon=True).start();"
        " print(urllib.request.urlopen(f'http://127.0.0.1:{s.server_port}/').status)"
    )
    work = f"""
        mkdir work && cd work
        git init -q . && echo 'int main(void) {{ return 7; }}' > seven.c
        printf 'seven: seven.c\\n\\tcc -o seven seven.c\\n' > Makefile
        make -s && ./seven || echo seven=$?
        git add . && git -c user.name=a -c user.email=a@b commit -qm one && git log --format=%s
        python3 -c "{served}" 2>/dev/null
        python3 -c "import multiprocessing as m; print(m.Pool(2).map(abs, [-1, 2]))"
        tar cf all.tar seven.c && tar xf all.tar && cp -p seven.c copy.c
        node -e 'console.log("node", 1 + 1)'
    """
    said = _as_agent(box, "-m", "tests.systemd.call", "rw", f"set -e; {work}")
    assert said.splitlines() == ["seven=7", "one", "200", "[1, 2]", "node 2"]


@pytest.mark.parametrize("how", ["restart", "crash"])
def test_what_runs_ends_with_the_agent(box: Box, model: str, workspace: str, how: str) -> None:
    del model, workspace
    box.run("ocg", "start")
    body = json.dumps({"message": "exec: sleep 98765 & sleep 98765"})
    with box.start(
        "curl", "-sN", "--unix-socket", "/run/ocg/agent.sock", "-d", body, "http://agent/v1/turns"
    ) as asking:
        box.wait_until("test $(pgrep -xfc 'sleep 98765') = 2")
        if how == "restart":
            box.run("systemctl", "restart", "ocg-agent")
        else:
            box.run("systemctl", "kill", "--kill-whom=main", "-s", "KILL", "ocg-agent")
        box.wait_until("! pgrep -xf 'sleep 98765'")
        asking.communicate(timeout=60)
    box.wait_until("systemctl is-active ocg-agent")


def test_a_stop_takes_the_sockets_along_and_a_start_brings_them(box: Box) -> None:
    box.run("ocg", "start")
    assert box.run("systemctl", "is-active", *_SOCKETS).stdout.split() == ["active"] * 4
    box.run("systemctl", "restart", "ocg-agent")
    assert box.run("systemctl", "is-active", *_SOCKETS).stdout.split() == ["active"] * 4
    box.run("ocg", "stop")
    assert box.run("systemctl", "is-active", *_SOCKETS, check=False).stdout.split() == ["inactive"] * 4
    box.run("systemctl", "start", "ocg-gateway")
    assert box.run("systemctl", "is-active", *_SOCKETS).stdout.split() == ["active"] * 4
    box.run("systemctl", "stop", "ocg-agent")
    box.wait_until(f"! systemctl is-active {' '.join(_SOCKETS)}")


def test_nobody_else_may_ask_for_a_tool(box: Box, workspace: str) -> None:
    del workspace
    box.script("id carol >/dev/null 2>&1 || useradd -m carol")
    box.run("usermod", "-aG", "ocg", "carol")
    for path in ("tool-ro.sock", "tool-ext.sock"):
        code = f"import socket; socket.socket(socket.AF_UNIX).connect('/run/ocg/{path}')"
        refused = box.run("python3", "-c", code, user="carol", check=False)
        assert "Permission denied" in refused.stderr
    box.run("gpasswd", "-d", "carol", "ocg")


def test_as_many_calls_as_are_allowed_run_at_once_and_one_more_is_told_so(box: Box, workspace: str) -> None:
    del workspace
    said = json.loads(_as_agent(box, "-m", "tests.systemd.call", "--many"))
    assert said["done"] == [0] * said["most"]
    assert said["refused"] == "busy"


def test_a_workspace_of_before_is_shared_by_an_installation(box: Box, workspace: str) -> None:
    box.script(f"""
        find {workspace} -mindepth 1 -delete
        mkdir -p {workspace}/memory/bees
        echo soul > {workspace}/SOUL.md
        echo honey > {workspace}/memory/bees/honey.md
        chown -R ocg:ocg {workspace}
        chmod -R go= {workspace}
        chmod 700 {workspace}
    """)
    assert f"shared {workspace} with the group ocg-tool" in box.run("ocg", "service", "install").stdout
    work = "cat SOUL.md memory/bees/honey.md; echo wax >> memory/bees/honey.md; echo wax > memory/wax.md; echo x > new"
    assert _as_agent(box, "-m", "tests.systemd.call", "rw", work).split() == ["soul", "honey"]
    read = ("runuser", "-u", "ocg", "--", "cat", f"{workspace}/memory/bees/honey.md", f"{workspace}/memory/wax.md")
    assert box.run(*read).stdout.split() == ["honey", "wax", "wax"]
    assert f"kept {workspace}" in box.run("ocg", "service", "install").stdout
