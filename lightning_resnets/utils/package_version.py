"""Versions of installed packages."""

from importlib.metadata import PackageNotFoundError, version


def package_version(name: str) -> str:
    """Return the version of a package.

    Args:
        name: name of the distribution, as in "lightning-resnets".

    Returns:
        The version; "unknown" for code that is imported without being installed, as from a source
        tree on PYTHONPATH.
    """
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
