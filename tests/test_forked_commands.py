"""A shell that runs Python programs in forks."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forked_commands import commands
from tests.support import PATIENCE, wait_until


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return variables with which a shell finds the commands."""
    with commands(tmp_path):
        yield {"PATH": f"{tmp_path}:/usr/bin:/bin", "WORD": "from the shell"}


def shell(text: str, environment: dict[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Run commands in a directory."""
    return subprocess.run(
        ["bash", "-c", text],
        env=environment,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_streams_variables_and_directory_are_those_of_the_shell(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "script.py").write_text("import sys; print(sys.argv[1:], open('script.py').read(6), file=sys.stderr)")
    text = """
        echo first > file
        echo 'import os; print(os.environ["WORD"])' | python - >> file
        { python -c 'print("one")'; echo two; } | tr a-z A-Z
        python script.py a b
        python -m json.tool --help | head -1 | cut -c 1-6
    """
    done = shell(text, environment, tmp_path)
    assert (tmp_path / "file").read_text() == "first\nfrom the shell\n"
    assert (done.stdout, done.stderr) == ("ONE\nTWO\nusage:\n", "['a', 'b'] import\n")


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("import sys; sys.exit(3)", 3),
        ("import sys; sys.exit('no')", 1),
        ("1 / 0", 1),
        ("import os; os.kill(os.getpid(), 15)", 143),
    ],
)
def test_a_command_ends_as_its_program_does(
    tmp_path: Path, environment: dict[str, str], program: str, code: int
) -> None:
    assert shell(f'python -c "{program}"; exit $?', environment, tmp_path).returncode == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_both(tmp_path: Path, environment: dict[str, str], number: signal.Signals) -> None:
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(1000)"
    command = ["python", "-c", program]
    with subprocess.Popen(command, env=environment, cwd=tmp_path, executable=tmp_path / "python", stdout=-1) as running:
        assert running.stdout is not None
        pid = int(running.stdout.readline())
        running.send_signal(number)
        assert running.wait(PATIENCE) == -number
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"))
