"""There is one way to the broker for order writes, and it leads through the gate (T23)."""

import ast
from pathlib import Path

import pytest

SOURCE_FOLDER = Path(__file__).resolve().parents[2] / "src" / "squareoff"
ENGINE_PARTS = ("core", "services", "assembly")
"""What runs in an engine between a decision and the gateway; adapters are beyond it."""

WRITES_AT_THE_GATEWAY = frozenset({"exit_market", "place_market"})
WRITES_AT_THE_CLIENT = frozenset({"place_order", "modify_order", "cancel_order"})


def _modules() -> dict[str, ast.Module]:
    found = {}
    for part in ENGINE_PARTS:
        path = SOURCE_FOLDER / part
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            name = str(file.relative_to(SOURCE_FOLDER))
            found[name] = ast.parse(file.read_text(encoding="utf-8"))
    return found


def _calls(tree: ast.Module) -> list[tuple[str, str]]:
    """Return (receiver, method) of every method that is called or handed on."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            receiver = node.value
            name = getattr(receiver, "attr", getattr(receiver, "id", ""))
            found.append((name, node.attr))
    return found


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    """Read the engine's modules once."""
    found = _modules()
    assert {"services/orders/order_router.py", "services/orders/gateway.py"} <= found.keys()
    return found


def test_only_the_router_imports_the_order_writes(modules: dict[str, ast.Module]) -> None:
    """No other module of the services names the protocol of order writes."""
    importers = [
        name
        for name, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name == "OrderWrites"
    ]

    assert importers == ["services/orders/order_router.py"]


def test_only_the_assembly_imports_the_whole_gateway(modules: dict[str, ast.Module]) -> None:
    """Services take the part of the gateway that they need; none that writes and reads."""
    importers = {
        name
        for name, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "squareoff.services.orders.gateway"
        for alias in node.names
        if alias.name in ("Gateway", "GatewayLive", "GatewayPaper")
    }

    assert importers <= {"assembly/parts.py"}


def test_only_the_router_calls_the_gateway_and_only_the_gateway_the_client(
    modules: dict[str, ast.Module],
) -> None:
    """Whatever else calls a method of these names calls the router's."""
    strays = []
    for name, tree in modules.items():
        for receiver, method in _calls(tree):
            at_router = receiver in ("_router", "router")
            if method in WRITES_AT_THE_GATEWAY | WRITES_AT_THE_CLIENT and not at_router:
                strays.append((name, receiver, method))

    assert sorted({name for name, _, _ in strays}) == [
        "services/orders/gateway.py",
        "services/orders/order_router.py",
    ]
    gateway = [each for each in strays if each[0] == "services/orders/gateway.py"]
    router = [each for each in strays if each[0] == "services/orders/order_router.py"]
    assert {receiver for _, receiver, _ in gateway} == {"_client"}
    assert {receiver for _, receiver, _ in router} == {"_gateway"}


def test_every_write_of_the_router_passes_the_gate(modules: dict[str, ast.Module]) -> None:
    """Each public write but the cancel asks the gate before its try."""
    tree = modules["services/orders/order_router.py"]
    router = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "OrderRouter")
    asked = {}
    for function in router.body:
        if not isinstance(function, ast.AsyncFunctionDef | ast.FunctionDef):
            continue
        methods = {n.attr for n in ast.walk(function) if isinstance(n, ast.Attribute)}
        if methods & (WRITES_AT_THE_GATEWAY | WRITES_AT_THE_CLIENT):
            asked[function.name] = bool(
                methods & {"overtaken_exit", "check_entry", "check_modification"}
            )

    assert asked == {
        "exit_market": True,
        "place_market": True,
        "modify_order": True,
        "cancel_order": False,
    }
