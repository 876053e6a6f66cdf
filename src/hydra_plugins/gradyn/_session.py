"""Hydra's config loader, set up as the command sets it up, for callers without a command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.plugins import Plugins
from hydra.core.utils import setup_globals

from gradyn.core import ConfigError, packaged

VERSION_BASE = "1.3"
# From 1.4 on there is nothing to choose: setting a base is deprecated there, and 1.3 is how it behaves.
_CHOOSES_BASE = tuple(int(part) for part in hydra.__version__.split(".")[:2]) < (1, 4)


@contextmanager
def hydra_ready() -> Iterator[None]:
    """Within it Hydra follows `VERSION_BASE`, knows its resolvers and our plugins; after it, a caller's own base is back."""
    base = version.VersionBase.instance()
    before = base.version_base
    if _CHOOSES_BASE:
        version.setbase(VERSION_BASE)
    try:
        setup_globals()
        register_plugins()
        yield
    finally:
        base.version_base = before


def register_plugins() -> None:
    """Make the plugins known where Hydra's own scan does not find them (some ways of installing hide namespace packages)."""
    plugins = Plugins.instance()
    # After the scan: it executes plugin modules, and a class imported before would be another one.
    from hydra_plugins.gradyn.launcher import LocalLauncher, SlurmLauncher
    from hydra_plugins.gradyn.sweeper import GradynSweeper

    for plugin in (GradynSweeper, LocalLauncher, SlurmLauncher):
        plugins.register(plugin)


def search_path(config_dir: str | Path | None = None) -> ConfigSearchPath:
    """The packaged configs, `configs/local/` where there is one, and the user's folder.

    Raises:
        ConfigError: the user's folder is missing.
    """
    configs = packaged("configs")
    path = create_config_search_path(f"file://{configs}")
    if config_dir is not None:
        folder = Path(config_dir).absolute()
        if not folder.is_dir():
            raise ConfigError("--config-dir", "be an existing folder", str(config_dir), "Create it, or correct the path.")
        # Hydra's own place for --config-dir: just before the schemas, so that the packaged option of the same name wins.
        path.prepend(provider="command-line", path=f"file://{folder}", anchor=SearchPathQuery(provider="schema"))
    # One's own site and one's own experiments: git knows nothing of that folder, and no wheel has it. Behind
    # the user's folder, which somebody has named just now.
    if (configs / "local").is_dir():
        path.prepend(provider="local", path=f"file://{configs / 'local'}", anchor=SearchPathQuery(provider="schema"))
    return path


def loader(config_dir: str | Path | None = None) -> ConfigLoaderImpl:
    """A config loader; call within `hydra_ready`."""
    return ConfigLoaderImpl(config_search_path=search_path(config_dir))
