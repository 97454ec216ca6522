"""The gateway and the embedding service do what their OpenAPI documents say, tried with thousands of requests.

Schemathesis makes them from the documents: what fits is taken, what does not is refused, nothing fails with a 5xx, and
each answer has a status, a type and a shape that are told. The services, their models and their data are real; only
the agent's provider follows a script.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import MODELS
from tests.processes import running
from tests.provider import echoes, provider
from tests.service import embedding
from tests.service.agent import agent
from tests.service.gateway import TOKEN, Gateway, environment, serving

ROOT = Path(__file__).parents[2]
_EXAMPLES = 10


@pytest.fixture
def stack(tmp_path: Path, free_port: int) -> Iterator[Gateway]:
    """All three services."""
    env = environment(tmp_path, free_port)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "models").symlink_to(MODELS)
    with (
        provider(echoes) as model,
        running(tmp_path, embedding.MODULE, env),
        agent(tmp_path, env | model.env),
        serving(tmp_path, env) as found,
    ):
        yield found


def _try(url: str, token: str, folder: Path, *, turn_id: str = "none") -> None:
    """Have Schemathesis try all that a document describes, with a turn that there is; the seed is always the same."""
    tried = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", f"--config-file={ROOT}/tests/schema/schemathesis.toml"),
            *("run", f"{url}/openapi.json", f"--header=Authorization: Bearer {token}", "--phases=coverage,fuzzing"),
            *(f"--max-examples={_EXAMPLES}", "--seed=1", "--request-timeout=60", "--continue-on-failure"),
            *("--warnings=off", "--no-color", "--generation-database=none"),
        ],
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.schema.hooks", "OCG_TEST_TURN": turn_id},
        capture_output=True,
        text=True,
        check=False,
    )
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert " passed" in tried.stdout


@pytest.mark.timeout(300)
def test_the_gateway_does_what_its_document_says(stack: Gateway, tmp_path: Path) -> None:
    events = stack.ask("POST", "/v1/turns", {"message": "hello"}).body
    (turn_id,) = set(re.findall(rb'"turn_id":"(\w+)"', events))
    _try(stack.url, TOKEN, tmp_path, turn_id=turn_id.decode())
    assert "Traceback" not in stack.log


@pytest.mark.timeout(300)
def test_the_embedding_service_does_what_its_document_says(tmp_path: Path) -> None:
    with embedding.serving(tmp_path, embedding.environment(tmp_path)) as service:
        _try(service.where.url, service.where.token, tmp_path)
        assert "Traceback" not in service.process.log
