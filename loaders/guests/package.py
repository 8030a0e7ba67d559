"""What a loader needs that is not installed with Feedbench."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec

from feedbench.loaders.errors import LoaderError


@dataclass(frozen=True)
class Package:
    """An optional dependency of Feedbench.

    Attributes:
        extra: its name in `pip install 'feedbench[EXTRA]'`.
        modules: what can be imported when it is installed.
        system: Debian packages that it needs too, separated by spaces.
    """

    extra: str
    modules: tuple[str, ...]
    system: str = ""

    def missing(self) -> tuple[str, ...]:
        """Return the modules that are not installed; none of them is imported."""
        return tuple(name for name in self.modules if not _is_there(name))


def check_installed(loader: str, package: Package | None) -> None:
    """Check that what a loader needs is installed.

    Raises:
        LoaderError: it is not; the message has the command that installs it.
    """
    missing = package.missing() if package else ()
    if package and missing:
        one = len(missing) == 1
        raise LoaderError(
            f"{loader}: needs the {'package' if one else 'packages'} {' and '.join(missing)}, "
            f"which {'is' if one else 'are'} not installed: {install_command([package])}"
        )


def install_command(packages: Iterable[Package]) -> str:
    """Return the command that installs some packages, after that for what they need of Debian."""
    packages = list(packages)
    extras = ",".join(dict.fromkeys(package.extra for package in packages))
    system = dict.fromkeys(name for package in packages for name in package.system.split())
    debian = f"apt-get install {' '.join(system)} && " if system else ""
    return f"{debian}pip install 'feedbench[{extras}]'"


def _is_there(module: str) -> bool:
    try:
        found = find_spec(module)
    except ModuleNotFoundError:  # the package that holds it is not there
        return False
    # A folder of the same name, such as datasets/ beside a script, has no origin.
    return found is not None and found.origin is not None
