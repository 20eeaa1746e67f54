"""What the code may not do: controls T21 to T23 of docs/security.md, and that none is missing."""

import ast
import json
import os
import re
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

from exit_story.story import Story
from squareoff.core.state.commands import ReadBooks
from squareoff.domain.orders import BrokerOrderStatus
from squareoff.domain.states import PositionStatus

ROOT = Path(__file__).resolve().parents[2]
SOURCE_FOLDER = ROOT / "src" / "squareoff"
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_NAMES = {
    "os": {"system", "popen"},
    "subprocess": {"getoutput", "getstatusoutput"},
    "asyncio": {"create_subprocess_shell"},
    "yaml": {"load"},
}
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "yaml"}
SENDING = ("order_router", "gateway", "placer", "broker")
"""Words of the modules that reach the broker's orders."""


def test_t21_every_package_is_pinned_by_its_hash() -> None:
    """Each file that uv.lock may install has a SHA-256; only this project itself has none."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    files = [file for package in packages for file in package.get("wheels", [])]
    files += [package["sdist"] for package in packages if "sdist" in package]
    without = [
        package["name"] for package in packages if not ("wheels" in package or "sdist" in package)
    ]

    assert len(files) > len(packages)
    assert [file["url"] for file in files if not file["hash"].startswith("sha256:")] == []
    assert without == ["squareoff"]


def test_t21_the_bill_of_materials_names_what_is_installed(tmp_path: Path) -> None:
    """`make sbom` lists squareoff's own requirements and theirs, each in the version of the lock;
    what only tests and documents need is not part of it. No network is asked."""
    bill = tmp_path / "bill.json"
    words = ["sbom", f"SBOM={bill}", f"UV={_uv()}"]
    # No set-up on the way: it would lead an environment that several checkouts share to this one.
    command = ["make", "--assume-old=.venv/.set-up-from-lock", *words]
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:1")
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=os.environ | nowhere)
    named = {(each["name"], each["version"]) for each in json.loads(bill.read_text())["components"]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = {
        re.split(r"[^A-Za-z0-9_.-]", each, maxsplit=1)[0].lower()
        for each in project["project"]["dependencies"]
    }
    names = {name for name, _ in named}

    assert wanted - names == set()
    assert {(name, version(name)) for name in wanted} <= named
    assert not names & {"pytest", "hypothesis", "mkdocs-material"}


def _uv() -> Path:
    """Return the uv that made the environment, which another checkout may have."""
    return (ROOT / ".venv").resolve().parent / ".tools" / "uv" / "bin" / "uv"


def test_t21_nothing_runs_text_as_code() -> None:
    """No eval, exec, pickle, yaml or shell anywhere in the sources."""
    found = [
        f"{path.name}: {text}"
        for path in SOURCE_FOLDER.rglob("*.py")
        for text in _dangers(ast.parse(path.read_text(encoding="utf-8")))
    ]

    assert found == []
    for bad in (
        "eval(x)", "import pickle", "import pickle as p", "from marshal import load",
        "run(x, shell=True)", "os.system(x)", "from os import popen", "subprocess.getoutput(x)",
        "await asyncio.create_subprocess_shell(x)",
    ):  # fmt: skip
        assert list(_dangers(ast.parse(bad))), bad


def _dangers(tree: ast.Module) -> list[str]:
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=function, keywords=keywords):
                if ast.unparse(function) in FORBIDDEN_CALLS:
                    found.append(ast.unparse(node))
                found += [
                    "shell=" for word in keywords
                    if word.arg == "shell" and ast.unparse(word.value) != "False"
                ]  # fmt: skip
            case ast.Attribute(value=ast.Name(id=module), attr=name) if name in FORBIDDEN_NAMES.get(
                module, ()
            ):
                found.append(f"{module}.{name}")
            case ast.Import(names=names):
                found += [alias.name for alias in names if alias.name in FORBIDDEN_MODULES]
            case ast.ImportFrom(module=str(module)) if module in FORBIDDEN_MODULES:
                found.append(module)
            case ast.ImportFrom(module=str(module), names=names):
                taken = FORBIDDEN_NAMES.get(module, set()) & {alias.name for alias in names}
                found += sorted(taken)
            case _:
                pass
    return found


def test_t22_a_fill_that_only_the_stream_tells_of_ends_nothing() -> None:
    """A forged TRADED on the socket is no exit: the broker's trade book is asked first."""
    story = Story().work()
    story.see(BrokerOrderStatus.TRADED, 100)

    assert story.tracker.status is PositionStatus.EXITING
    assert story.wants(ReadBooks)


def test_t23_one_module_sends_orders() -> None:
    """In the whole engine one module names the protocol of order writes: the router, with the gate.

    Who calls what, and that every write passes the gate, is in
    tests/services/test_one_order_path.py.
    """
    namers = {
        path.relative_to(SOURCE_FOLDER).as_posix()
        for path in SOURCE_FOLDER.rglob("*.py")
        if "simulator" not in path.parts and re.search(r"\bOrderWrites\b", path.read_text())
    }
    reached = {
        name
        for path in (SOURCE_FOLDER / "web").rglob("*.py")
        for name in _imported(ast.parse(path.read_text(encoding="utf-8")))
    }

    assert namers == {"services/orders/order_router.py", "services/orders/gateway.py"}
    assert [name for name in reached if set(name.split(".")) & set(SENDING)] == []
    assert "squareoff.services.orders.placer" in _imported(
        ast.parse("from squareoff.services.orders import (\n    placer,\n)")
    )


def _imported(tree: ast.Module) -> set[str]:
    """Return the full name of everything that is imported."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_every_control_has_its_test_and_its_row() -> None:
    """T1 to T23 each have a test of that name here, and a row in docs/security.md."""
    folder = Path(__file__).parent
    tests = "".join(path.read_text(encoding="utf-8") for path in folder.glob("test_*.py"))
    found = {int(number) for number in re.findall(r"^def test_t(\d\d)_", tests, re.MULTILINE)}
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = {int(number) for number in re.findall(r"^\| T(\d+) \|", page, re.MULTILINE)}

    assert found == rows == set(range(1, 24))
