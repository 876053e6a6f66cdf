"""What a number came from: commit, versions, device, hardware, date. A result without them is void."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# Packages whose version can change a stored number or its meaning.
_PACKAGES = ("gradyn", "torch", "numpy", "scipy", "scikit-learn", "hydra-core", "pyarrow")

_PACKAGE = Path(__file__).resolve().parents[1]


def provenance(device: str = "cpu", engine: str = "eager") -> dict[str, Any]:
    """The provenance columns of the `runs` table, by name; the same for all runs of a shard.

    Args:
        device: torch device, as the user named it.
        engine: program that computes the runs.
    """
    commit, dirty = _checkout()
    return {
        "device": device,
        "engine": engine,
        "commit": commit,
        "dirty": dirty,
        "versions": _versions(),
        "hardware": _hardware(device),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@cache
def _versions() -> str:
    found = [f"python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            # gradyn on a bare PYTHONPATH: the commit says what it is.
            found.append(f"{package} ?")
    return ", ".join(found)


@cache
def _checkout() -> tuple[str | None, bool | None]:
    # Only a checkout of this package counts, not a repository that an installed copy happens to lie in (a .venv inside one).
    root = _PACKAGE.parents[1]
    if not (root / ".git").exists() or not (root / "pyproject.toml").is_file():
        return None, None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit, bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def _git(root: Path, *arguments: str) -> str:
    # --no-optional-locks: status must not touch the index while the user commits.
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout.strip()


@cache
def _hardware(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(device))
    cpuinfo = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")] if cpuinfo.is_file() else []
    return f"{names[0]} x {len(names)}" if names else (platform.processor() or platform.machine())
