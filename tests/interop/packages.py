"""The npm packages that interoperability is tested and measured against, installed once.

They go to a cache folder outside the tree, and nothing of where they came from is kept.
"""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

import platformdirs

WANTED = Path(__file__).parent / "package.json"
INSTALL_TIMEOUT_S = 240
OLDEST_NODE = 18


class MissingPackages(Exception):
    """Why there are none."""


def node_packages(failed: Path | None = None) -> Path:
    """A folder whose `node_modules` has the packages of `package.json`.

    `failed` is where a run notes that installing is not possible, so that it is tried once.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise MissingPackages(f"{program} is not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.strip().lstrip("v").partition(".")[0]) < OLDEST_NODE:
        raise MissingPackages(f"node {version.stdout.strip()} is older than {OLDEST_NODE}")
    wanted = WANTED.read_bytes()
    name = f"interop-{hashlib.sha256(wanted).hexdigest()[:16]}"
    folder = Path(platformdirs.user_cache_dir("holdfast")) / name
    done = folder / "installed"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise MissingPackages(f"no place for the npm packages: {error}") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            if failed is not None and failed.exists():
                raise MissingPackages(failed.read_text())
            (folder / "package.json").write_bytes(wanted)
            reason = _install(folder)
            if reason:
                if failed is not None:
                    failed.write_text(reason)
                raise MissingPackages(reason)
            done.touch()
    return folder


def _install(folder: Path) -> str:
    """Install, and say why that was not possible."""
    options = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    retries = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=20000"]
    try:
        done = subprocess.run(
            ["npm", "install", "--loglevel=error", *options, *retries],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"npm install gave no answer within {INSTALL_TIMEOUT_S} s"
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if "error code" in line]
    return f"npm install: {lines[0] if lines else f'exit code {done.returncode}'}"
