"""`.env` is read as a shell reads it."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actingweb.migration.cli import env_file
from actingweb.migration.cli.env_file import assignments
from actingweb.migration.errors import UsageError

SHELLS = [shell for shell in ("/bin/sh", "/bin/bash") if Path(shell).exists()]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/home/me", "OUTER": "o u", "EMPTY": ""}
OWN = {"PWD", "OLDPWD", "SHLVL", "_", *ENVIRONMENT}


def by_shell(shell: str, directory: Path, text: str) -> dict[str, str]:
    """Return what a shell has in its environment, and had not before, after it read a file."""
    (directory / ".env").write_bytes(text.encode())
    script = "set -a; . ./.env >/dev/null; exec env -0"
    run = subprocess.run(
        [shell, "-c", script], cwd=directory, env=ENVIRONMENT, stdout=subprocess.PIPE, check=False, timeout=60
    )
    variables = [entry.partition("=") for entry in run.stdout.decode().split("\0") if entry]
    return {name: value for name, _, value in variables if name not in OWN}


READ = {
    "plain": "A=b\nB=c",
    "export": "export A=b\nexport\tB=c D\n  export A",
    "comments": "# one\nA=b # two\n  # three\nB=c#d\nC= # four\n#A=x\n",
    "empty": "A=\nB=''\nC=\"\"\n\n   \n",
    "single quotes are literal": r"""A='$B ${B} `x` \n \' """ + "\n",
    "a single quote in single quotes": r"""A='it'\''s'""",
    "escapes in double quotes": r'''A="\$x \"q\" \\ \` \n \t \a \'"''',
    "escapes outside": r"A=a\ b\$c\\d\'e\"f\#g\nh",
    "variables": 'B=x\nA=$B-${B}_$B"$B ${B}"$MISSING.${MISSING}',
    "variables of the environment": 'A=$OUTER\nB="${OUTER}"\nC=$EMPTY',
    "defaults": 'A=${X:-a b}\nB="${X:-c d}"\nC=${EMPTY:-e}\nD=${EMPTY-f}\nE=${OUTER:-g}\nF=${X:-$OUTER"h"}\nG=${X-}',
    "dollars that stand for themselves": 'A=a$\nB="a$"\nC="$ x"\nD=a$.b\nE=$/',
    "parts": """A=a'b c'"d e"f""",
    "blanks in quotes": """A=" a b "\nB=' c d '""",
    "a hash in quotes": """A="a # b"\nB='c # d'\nC=e\\ #f""",
    "an equals sign": "A=b=c\nB==\nC='='",
    "lines in quotes": "A='b\n# c\nD=e'\nB=\"f\ng\"\nC=x",
    "continued lines": 'A=b\\\nc\nB="d\\\ne"\nC=x \\\n D=y',
    "several on a line": "A=b B=$A; C=d;D=e # x\n",
    "the last one counts": "A=b\nA=c\nB=$A\nA=d",
    "home": "A=~\nB=~/x\nC=a~\nD='~'\nE=x:~/y:~\nF=\"~\"\nG=\\~\nH=~:x",
    "patterns": "A=*\nB=?.[a]\nC={a,b}\nD=!x\nE=a!",
    "other texts": "A=größe\nB='\U0001f600'\nC=%d%s@^-+,:/",
    "a password": r"""PG_DB_PASSWORD='p$a"ss\word#1 `x` ${HOME}'""",
    "no last line end": "A=b\nB='c'",
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("text", READ.values(), ids=READ)
def test_it_is_read_as_by_a_shell(tmp_path: Path, shell: str, text: str) -> None:
    found = assignments(text, ENVIRONMENT)
    assert found == by_shell(shell, tmp_path, text)
    assert found


@pytest.mark.parametrize("text", ["\ufeffA='b'\r\nB=c\r\n", "A=b\r\nB='c'\r", "A=b\nB=c"])
def test_line_ends_and_byte_order_marks_of_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / ".env").write_bytes(text.encode())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {})
    env_file.load_env_file()
    assert os.environ == {"A": "b", "B": "c"}


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In what other lines make of a variable, too; nor does an empty one give way."""
    (tmp_path / ".env").write_text("A=file\nB=$A-$C\nC=later\nD=file\n")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    monkeypatch.setattr(os, "environ", {"A": "environment", "D": ""})
    env_file.load_env_file()
    assert os.environ == {"A": "environment", "B": "environment-", "C": "later", "D": ""}


REFUSED = {
    "blanks": "PG_DB_PASSWORD=my password",
    "blanks around =": "PG_DB_PASSWORD = x",
    "a blank behind =": "PG_DB_PASSWORD= x",
    "a colon": "PG_DB_PASSWORD: x",
    "a command": "PG_DB_PASSWORD=$(pass show x)",
    "a command, the old way": "PG_DB_PASSWORD=`pass show x`",
    "a command in quotes": 'export PG_DB_PASSWORD="`pass show x`"',
    "arithmetic": "PG_DB_PASSWORD=$((1+1))",
    "two signs": "PG_DB_PASSWORD=pa$$word",
    "a parameter": "PG_DB_PASSWORD='x'$1y",
    "an ampersand": "PG_DB_URL=postgresql://h/d?a=b&c=d",
    "a pipe": "PG_DB_PASSWORD=a|b",
    "a bracket": "PG_DB_PASSWORD=a(b",
    "an open quote": "PG_DB_PASSWORD='x",
    "an open double quote": 'PG_DB_PASSWORD="x',
    "an open brace": "PG_DB_PASSWORD=${X",
    "another expansion": "PG_DB_PASSWORD=${X%y}",
    "quotes that shells read differently": r"PG_DB_PASSWORD=$'x\ny'",
    "an assignment that adds": "PG_DB_PASSWORD+=x",
    "of AWS": "AWS_SECRET_ACCESS_KEY = x",
}


@pytest.mark.parametrize("line", REFUSED.values(), ids=REFUSED)
def test_a_line_that_a_shell_does_not_read_so_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    (tmp_path / ".env").write_text(f"A='b\nc'\n# {line}\n{line}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"/\.env, line 4: ") as caught:
        env_file.load_env_file()
    assert not re.search("pass|word|key", str(caught.value).removeprefix(str(tmp_path)), re.IGNORECASE)


@pytest.mark.parametrize(
    "line", ["set -a", "FOO = bar baz", "MOTD=it's me", "if true; then", "x", "A=$(date)", "==", ";"]
)
def test_other_lines_are_those_of_others(line: str) -> None:
    assert assignments(f"{line}\nPG_DB_HOST='x'\n", {}) == {"PG_DB_HOST": "x"}


@pytest.mark.parametrize("content", [b"A=\xff", b"A=a\0b"])
def test_what_is_no_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    (tmp_path / ".env").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"must be text in UTF-8"):
        env_file.load_env_file()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*"aA=$'\"\\ #\n;~:{}-/1*", "${A", "$A", ":-", "\nA=", "export ", "B="]), max_size=12))
def test_what_is_read_at_all_is_read_as_by_a_shell(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    text = "X=" + "".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(env_file, "_OURS", re.compile(""))
        try:
            found = assignments(text, ENVIRONMENT)
        except env_file._UnreadableError:
            return
    for shell in SHELLS:
        assert found == by_shell(shell, tmp_path_factory.getbasetemp(), text)
