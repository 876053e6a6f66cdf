"""Where the YAML files are: in the wheel, or in the checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def packaged(folder: str) -> Path:
    """The folder `configs` or `experiments`: inside the installed package if it is there, else the checkout's.

    Raises:
        FileNotFoundError: neither exists; the installation is broken.
    """
    for candidate in (_PACKAGE / folder, _PACKAGE.parents[1] / folder):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"gradyn's folder {folder!r} is neither in {_PACKAGE} nor in {_PACKAGE.parents[1]}; reinstall gradyn.")
