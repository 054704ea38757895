"""Write the modules of `actingweb.db.aio` that follow from those of `actingweb.db`: its protocols and its accessors.

`python scripts/generate_aio.py` writes them; with `--check` it only says, by its exit status, whether they are right.
"""

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_DB = Path(__file__).parent.parent / "actingweb" / "db"
_PROTOCOLS = '''"""The protocols of `actingweb.db.protocols`, with coroutines: what `actingweb.db.aio` returns.

`actingweb.db.protocols` has the rules that hold for every method.
"""

# scripts/generate_aio.py wrote this module.

'''
_ACCESSORS = '''"""The fifteen accessors of `actingweb.db.accessors`, whose objects have coroutines."""

# scripts/generate_aio.py wrote this module.

from collections.abc import Callable
from typing import Any

from actingweb.db import accessors
from actingweb.db.aio.objects import asynchronous
from actingweb.db.aio.protocols import {names}

'''


class _Protocols(ast.NodeTransformer):
    """Makes the protocols asynchronous."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """Rename the classes in `__all__`."""
        return ast.Constant(_asynchronous(node.value)) if isinstance(node.value, str) else node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Rename a class and change its members."""
        members = [changed for member in node.body if (changed := _member(member)) is not None]
        return ast.ClassDef(_asynchronous(node.name), node.bases, [], members, node.decorator_list)


def _asynchronous(name: str) -> str:
    return f"Async{name}" if name.endswith("Protocol") else name


def _member(node: ast.stmt) -> ast.stmt | None:
    """Return the asynchronous form of a member of a class; None if it is private."""
    if isinstance(node, ast.AnnAssign):
        name = ast.unparse(node.target)
        return (
            None
            if name.startswith("_")
            else _parsed(f"@property\ndef {name}(self) -> {ast.unparse(node.annotation)}: ...")
        )
    if not isinstance(node, ast.FunctionDef):
        return node
    # A class has no coroutines of its own, so what can be called on the class becomes a method of its objects.
    node.args.args[0].arg = "self"
    node.decorator_list = []
    result = ast.unparse(node.returns) if node.returns else ""
    if result.startswith("Iterator["):
        node.returns = ast.parse(f"AsyncGenerator[{result.removeprefix('Iterator[')[:-1]}, None]", mode="eval").body
        return node
    return ast.AsyncFunctionDef(node.name, node.args, node.body, [], node.returns, lineno=0)


def _parsed(code: str) -> ast.stmt:
    return ast.parse(code).body[0]


def _protocols() -> str:
    source = ast.parse((_DB / "protocols.py").read_text())
    for node in source.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                alias.name = "AsyncGenerator" if alias.name == "Iterator" else alias.name
    source.body = source.body[1:]
    return _PROTOCOLS + ast.unparse(ast.fix_missing_locations(_Protocols().visit(source)))


def _accessors() -> str:
    source = ast.parse((_DB / "accessors.py").read_text())
    functions = [_accessor(node) for node in source.body if isinstance(node, ast.FunctionDef)]
    results = [ast.unparse(node.returns) for node in functions if node.returns]
    head = _ACCESSORS.format(names=f"({', '.join(each for each in results if each.startswith('Async'))})")
    return head + "\n\n".join(ast.unparse(ast.fix_missing_locations(node)) for node in functions)


def _accessor(node: ast.FunctionDef) -> ast.FunctionDef:
    """Return the asynchronous form of an accessor; another function stays as it is."""
    result = _asynchronous(ast.unparse(node.returns) if node.returns else "")
    if result.startswith("Async"):
        arguments = ", ".join(each.arg for each in node.args.args)
        node.returns = ast.Name(result)
        made = _parsed(f"made: {result} = asynchronous({result}, accessors.{node.name}, {arguments})")
        node.body[1:] = [made, _parsed("return made")]
    return node


_MODULES: dict[str, Callable[[], str]] = {"protocols.py": _protocols, "accessors.py": _accessors}


def _formatted(code: str) -> str:
    for command in (["check", "--fix", "--quiet", "--select=I"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", "actingweb/db/aio/made.py", "-"]
        code = subprocess.run(
            ruff, cwd=_DB.parent.parent, input=code, capture_output=True, text=True, check=True
        ).stdout
    return code


def main(arguments: list[str]) -> int:
    """Write or check the modules and return the exit status."""
    made = {_DB / "aio" / name: _formatted(make()) for name, make in _MODULES.items()}
    if "--check" not in arguments:
        for path, code in made.items():
            path.write_text(code)
        return 0
    stale = [str(path) for path, code in made.items() if not path.exists() or path.read_text() != code]
    if stale:
        print(f"run scripts/generate_aio.py, which makes other text of: {', '.join(stale)}", file=sys.stderr)
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
