"""House rules as a test: what is pure stays pure, what is ours is ours."""

import ast
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "wire", "feed", "swarm", "coinflip", "audit", "chain", "attestor", "hoster", "owner",
    "holdfast",
)  # fmt: skip
CORES = PACKAGES[:-1]
"""`holdfast` is the front door: all of it is shell."""

SHELLS = {"node", "service", "session", "store", "client", "server", "tcp", "api", "cli"}
"""The last word of a module's name says that it is a shell: `session`, `flip_service`."""
IMPURE = {
    "aiohttp", "aiosqlite", "asyncio", "datetime", "hypercorn", "os", "pathlib", "random",
    "secrets", "select", "shutil", "signal", "socket", "sqlite3", "subprocess", "tempfile",
    "threading", "time", "urllib", "uuid", "uvloop",
}  # fmt: skip
MAX_LINES = 450


def modules(packages: tuple[str, ...]) -> list[Path]:
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(
    "path",
    [p for p in modules(CORES) if p.stem.split("_")[-1] not in SHELLS and p.stem != "__main__"],
    ids=name_of,
)
def test_a_module_is_pure_unless_its_name_says_otherwise(path: Path) -> None:
    assert not imported(path) & IMPURE


@pytest.mark.parametrize("package", PACKAGES)
def test_an_import_name_is_ours_alone(package: str) -> None:
    assert set(packages_distributions().get(package, ["holdfast"])) == {"holdfast"}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_typed_and_says_what_it_is(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()
    assert ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text()))


@pytest.mark.parametrize("path", modules(PACKAGES), ids=name_of)
def test_a_file_is_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", modules(PACKAGES), ids=name_of)
def test_what_is_public_says_what_it_means(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the module has no docstring"
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in (node for node in tree.body if isinstance(node, kinds)):
        assert node.name.startswith("_") or ast.get_docstring(node), f"{node.name} says nothing"


def test_the_coin_of_python_is_never_tossed() -> None:
    """No float, no built-in hash, no set order where nodes must agree."""
    for path in modules(("chain",)):
        if path.stem.split("_")[-1] in SHELLS:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), path
            assert not (isinstance(node, ast.Div)), f"{path} divides into a float"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("hash", "id", "float"), f"{path} calls {node.func.id}"
