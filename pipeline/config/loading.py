"""YAML file or mapping, plus ``--set`` overrides → validated :class:`RunConfig`, and back to YAML."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from math import isfinite, isinf
from pathlib import Path
from typing import Any, Unpack

import yaml
from pydantic import ValidationError

from pipeline.config.cluster import Certificates, Cluster
from pipeline.config.json_schema import lookup
from pipeline.config.mistakes import Mistake, config_error, shown, translate, unknown_key
from pipeline.config.sections import Output, RunConfig, Sections
from pipeline.config.yamltext import CoreLoader, Document, KeyPath, dotted, parse
from pipeline.errors import ConfigError, OutputError
from pipeline.storage import Place, hidden, holds_user, is_remote, place

LONGEST = 16 * 2**20
"""Bytes; no configuration is nearly this long."""
_CERTIFICATES: tuple[KeyPath, ...] = tuple(("cluster", "security", name) for name in Certificates.model_fields)


def load(
    path: str | os.PathLike[str] | Place, overrides: Sequence[str] = (), *, without: Collection[str] = ()
) -> RunConfig:
    """Read a configuration file.

    Parameters
    ----------
    path : str, path-like or Place
        A YAML file, or its URL in an object store.
    overrides : sequence of str
        ``section.key=value`` each, the value in YAML; overrides replace the file's values.
    without : collection of str
        Sections of the file to ignore.

    Returns
    -------
    RunConfig
        With absolute paths: relative paths start at the file's folder, those in `overrides` at the current folder.

    Raises
    ------
    ConfigError
        For wrong configurations. The message names every mistake: line, key, expected value, given value, nearest right name.
    """
    if isinstance(path, Place) or is_remote(str(path)):
        document = parse(_read_place(place(path)), name=str(path))
    else:
        document = parse(_read(Path(path).expanduser()), name=str(path))
    if document.value is None:
        raise ConfigError(f"{path}: the file is empty; at least source.paths and output.path are needed")
    if isinstance(document.value, dict):
        for section in without:
            document.value.pop(section, None)
    base = Path.cwd() if is_remote(str(path)) else Path(str(path)).expanduser().absolute().parent
    return _configure(document, overrides, base=base, name=str(path))


def from_dict(
    values: Mapping[str, Any], base: Path | None = None, overrides: Sequence[str] = (), *, name: str = "configuration"
) -> RunConfig:
    """Make a configuration from plain values, as :func:`load` does from a file.

    Parameters
    ----------
    values : mapping
        Section → its keys, as in YAML.
    base : Path, optional
        Folder at which relative paths start; by default the current folder.
    overrides : sequence of str
        ``section.key=value`` each, see :func:`load`.
    name : str
        Name of the configuration in messages.

    Raises
    ------
    ConfigError
        For wrong configurations; the message names every mistake.
    """
    return _configure(Document(values), overrides, base=base or Path.cwd(), name=name)


def for_paths(
    paths: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    out: str | os.PathLike[str],
    **sections: Unpack[Sections],
) -> RunConfig:
    """Make a configuration from a function's arguments.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        What becomes ``source.paths``.
    out : path-like
        What becomes ``output.path``.
    **sections : mapping
        All else, section by section, as in YAML.

    Raises
    ------
    ConfigError
        Naming every mistake.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    values: dict[str, Any] = {**sections}
    own: dict[str, dict[str, Any]] = {
        "source": {"paths": [os.fspath(path) for path in given]},
        "output": {"path": os.fspath(out)},
    }
    for name, keys in own.items():
        section = values.get(name, {})
        values[name] = {**section, **keys} if isinstance(section, Mapping) else section
    return from_dict(values)


def config_of(given: RunConfig | Mapping[str, Any] | str | os.PathLike[str]) -> RunConfig:
    """Return a configuration, however it is given: as such, as plain values, or as the path or URL of a YAML file.

    Raises
    ------
    ConfigError
        Naming every mistake.
    """
    if isinstance(given, RunConfig):
        return given
    return from_dict(given) if isinstance(given, Mapping) else load(given)


def cluster_of(given: Cluster | Mapping[str, Any] | None) -> Cluster:
    """Return a section ``cluster``, given as such or as plain values; the default one for None.

    Raises
    ------
    ConfigError
        Naming every mistake.
    """
    return given if isinstance(given, Cluster) else for_paths(".", ".", cluster={} if given is None else given).cluster


def _read_place(at: Place) -> str:
    try:
        return at.read_bytes(LONGEST).decode("utf-8-sig")
    except OutputError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{at}: can't be read: {getattr(error, 'strerror', None) or error}") from error


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(LONGEST + 1)
        if len(data) > LONGEST:
            raise ConfigError(f"{file}: the file has more than {LONGEST} bytes, so it isn't a configuration")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{file}: can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not a text file in UTF-8 ({error.reason} at byte {error.start})") from error


def _configure(document: Document, overrides: Sequence[str], *, base: Path, name: str) -> RunConfig:
    if not isinstance(document.value, Mapping):
        raise ConfigError(f"{name}: expected a mapping with source and output, got {shown(document.value)}")
    data = _restore_texts(deepcopy(dict(document.value)), document.numbers)
    origins = {path: f"line {line}" for path, line in document.lines.items()}
    bases: dict[KeyPath, Path] = dict.fromkeys((("source", "paths"), ("output", "path"), *_CERTIFICATES), base)
    for override in overrides:
        path = _override(data, override)
        origins = {key: origin for key, origin in origins.items() if key[: len(path)] != path} | {path: "--set"}
        bases |= dict.fromkeys((key for key in bases if key[: len(path)] == path), Path.cwd())
    try:
        config = RunConfig.model_validate(data)
    except ValidationError as error:
        mistakes = sorted(translate(error, data), key=lambda mistake: _line(mistake.path, document.lines))
        raise config_error(name, mistakes, origins) from None
    if mistakes := list(_find_urls_with_users(config)):
        raise config_error(name, mistakes, origins)
    return _make_paths_absolute(config, bases)


def _find_urls_with_users(config: RunConfig) -> Iterator[Mistake]:
    """Yield a mistake for each URL with user or password, because the configuration is copied to run.yaml."""
    pending: list[tuple[KeyPath, Any]] = [((), config.model_dump(mode="json", exclude={"select"}))]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict | list):
            pending += [
                ((*path, key), item) for key, item in (value.items() if isinstance(value, dict) else enumerate(value))
            ]
        elif isinstance(value, str) and holds_user(value):
            yield Mistake(
                path, "a URL with user or password, which would be copied to run.yaml; give them in the environment"
            )


def _line(path: KeyPath, lines: Mapping[KeyPath, int]) -> int:
    return next((lines[path[:length]] for length in range(len(path), 0, -1) if path[:length] in lines), 0)


def _restore_texts(data: dict[str, Any], numbers: Mapping[KeyPath, str]) -> dict[str, Any]:
    """Restore the written form of numbers in `select.where`, so that 007 and 1.10 are compared as text."""
    for path, text in numbers.items():
        if path[:2] == ("select", "where"):
            *parents, last = path
            holder: Any = data
            for part in parents:
                holder = holder[part]
            if str(holder[last]) != text:
                holder[last] = text
    return data


def _override(data: dict[str, Any], override: str) -> KeyPath:
    """Put one ``section.key=value`` into `data` and return the key's path."""
    dotted_path, equals, text = override.partition("=")
    path = tuple(part.strip() for part in dotted_path.split("."))
    if not equals or not all(path):
        raise ConfigError(f"--set {hidden(override[:200])}: expected section.key=value, such as output.codec.clevel=5")
    if lookup(path) is None:
        raise config_error("--set", [Mistake(path, unknown_key(path))])
    document = _parse_value(path, text)
    holder = _holder(data, path)
    if path == ("output", "codec", "name") and holder.get("name") != document.value:
        holder.clear()  # another codec has other settings
    holder[path[-1]] = document.value
    _restore_texts(data, {(*path, *key): number for key, number in document.numbers.items()})
    return path


def _parse_value(path: KeyPath, text: str) -> Document:
    try:
        return parse(text, name=f"--set {dotted(path)}")
    except ConfigError as error:
        raise ConfigError(
            f"{str(error).replace(chr(10), '; ')}; a text with special characters needs quotes of its own, as in '\"*.dcm\"'"
        ) from None


def _holder(data: dict[str, Any], path: KeyPath) -> dict[str, Any]:
    """Return the mapping that holds the last key of `path`; create it if it doesn't exist."""
    if path[:2] == ("output", "codec") and isinstance(data.get("output", {}), dict):
        # a configuration holds a whole codec or none: with none, the setting changes the default codec
        data.setdefault("output", {}).setdefault("codec", deepcopy(Output.model_fields["codec"].default))
    holder = data
    for position, part in enumerate(path[:-1], start=1):
        holder = holder.setdefault(str(part), {})
        if not isinstance(holder, dict):
            raise config_error(
                "--set", [Mistake(path, f"can't be set, because {dotted(path[:position])} is {shown(holder)}")]
            )
    return holder


def _make_paths_absolute(config: RunConfig, bases: Mapping[KeyPath, Path]) -> RunConfig:
    paths = tuple(_below(bases["source", "paths"], path) for path in config.source.paths)
    out = _below(bases["output", "path"], config.output.path)
    return config.model_copy(
        update={
            "source": config.source.model_copy(update={"paths": paths}),
            "output": config.output.model_copy(update={"path": out}),
            "cluster": _absolute_certificates(config.cluster, bases),
        }
    )


def _absolute_certificates(cluster: Cluster, bases: Mapping[KeyPath, Path]) -> Cluster:
    if not isinstance(cluster.security, Certificates):
        return cluster
    given = cluster.security
    paths = {str(path[-1]): _below(bases[path], getattr(given, str(path[-1]))) for path in _CERTIFICATES}
    return cluster.model_copy(update={"security": given.model_copy(update=paths)})


def _below(base: Path, path: str) -> str:
    if "://" in path:
        return path
    whole = Path(os.path.expanduser(path))  # noqa: PTH111  leaves the home of an unknown user as it is
    if whole.is_absolute() or glob.escape(path) == path or os.path.exists(base / path):  # noqa: PTH110  never raises
        return str(base / whole)
    return str(Path(glob.escape(str(base))) / whole)  # a pattern: only its own wildcards count


class _Dumper(yaml.SafeDumper):
    """A YAML writer that quotes every text that YAML 1.1 or 1.2 would read as another type."""

    def represent_float(self, data: float) -> yaml.ScalarNode:
        """Write the shortest text that reads back as the same number."""
        text = repr(data) if isfinite(data) else f"{'-' if data < 0 else ''}.inf" if isinf(data) else ".nan"
        return self.represent_scalar("tag:yaml.org,2002:float", text)


_Dumper.add_representer(float, _Dumper.represent_float)
for _first, _resolvers in CoreLoader.yaml_implicit_resolvers.items():
    for _tag, _pattern in _resolvers:
        _Dumper.add_implicit_resolver(_tag, _pattern, [_first])


def dump(config: RunConfig, *, versions: Mapping[str, str] | None = None) -> str:
    """Return `config` as YAML that :func:`load` reads back as an equal value.

    Parameters
    ----------
    config : RunConfig
        With absolute paths, as loaded.
    versions : mapping, optional
        Package → version, written as a comment in the first line.
    """
    versions_text = ", ".join(f"{package} {version}" for package, version in (versions or {}).items())
    head = f"# The configuration of this run as resolved. {versions_text}".rstrip() + "\n"
    values = config.model_dump(mode="json")
    readable = json.dumps(values, ensure_ascii=False).isprintable()  # else PyYAML leaves line separators unescaped
    body = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=readable, width=120)
    return head + body
