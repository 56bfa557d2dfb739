"""obstore's clients, one for each bucket and options in each process, and their credentials."""

from __future__ import annotations

import configparser
import os
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store

from pipeline.errors import ConfigError
from pipeline.storage.options import Options
from pipeline.storage.urls import WEB, scheme_of

_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_PREFIXES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
"""Prefixes of the environment variables that clients read."""
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_FOREVER = timedelta(days=1)


def store_at(root: str, options: Options) -> Any:
    """Return the client for the bucket or server `root`.

    Raises
    ------
    ConfigError
        For unusable options, such as plain HTTP without permission, or an unknown profile.
    """
    surroundings = tuple(pair for pair in os.environ.items() if pair[0].startswith(tuple(_PREFIXES.values())))
    return _store(root, options, os.getpid(), surroundings)


@lru_cache(maxsize=64)
def _store(root: str, options: Options, _process: int, _surroundings: tuple[tuple[str, str], ...]) -> Any:
    """Make a client; a changed environment or a forked process gets a new one, since threads don't survive a fork."""
    scheme = scheme_of(root)
    bucket = root.partition("://")[2]
    shared: dict[str, Any] = {
        "client_options": {
            "timeout": timedelta(seconds=options.timeout),
            "connect_timeout": timedelta(seconds=options.connect_timeout),
            "allow_http": scheme == "http" or _plain_allowed(options, scheme),
            "pool_idle_timeout": timedelta(seconds=30),
        },
        # `retry` does all retries, because obstore doesn't retry after cut bodies.
        "retry_config": {"max_retries": 0, "retry_timeout": _FOREVER},
    }
    if scheme != "gs":  # Google's servers decode by themselves what the client doesn't accept
        shared["client_options"]["default_headers"] = {"Accept-Encoding": "identity"}
    try:
        if scheme in WEB:
            return HTTPStore(root, **shared)
        more = dict(options.more)
        if scheme == "s3":
            return S3Store(bucket, **shared, **_s3(options), **more)
        if options.anonymous:
            more["skip_signature"] = True
        if endpoint := _endpoint(options, scheme):
            more["base_url" if scheme == "gs" else "endpoint"] = endpoint
        return GCSStore(bucket, **shared, **more) if scheme == "gs" else AzureStore(bucket, **shared, **more)
    except ConfigError:
        raise
    except Exception as error:  # obstore raises a different error for every kind of setting
        raise ConfigError(f"storage: {root} can't be reached with these options: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _plain_allowed(options: Options, scheme: str) -> bool:
    prefix = _PREFIXES.get(scheme, "")
    return options.allow_http or bool(prefix and _truthy(os.environ.get(f"{prefix}ALLOW_HTTP", "")))


def _endpoint(options: Options, scheme: str) -> str:
    """Return the address of a server other than the provider's; ConfigError for plain HTTP without permission."""
    named = (os.environ.get(variable) for variable in _ENDPOINTS[scheme])
    endpoint = options.endpoint or next(filter(None, named), "")
    if endpoint.startswith("http:") and not _plain_allowed(options, scheme):
        raise ConfigError(
            f"storage.endpoint: {endpoint} is plain HTTP, so that all pixels would travel unencrypted; use its https address, "
            "or allow plain HTTP with storage.allow_http: true"
        )
    return endpoint


def _s3(options: Options) -> dict[str, Any]:
    endpoint = _endpoint(options, "s3")
    settings: dict[str, Any] = {"virtual_hosted_style_request": not options.path_style}
    if endpoint:
        settings["endpoint"] = endpoint
    region = options.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
    if options.anonymous:
        settings["skip_signature"] = True
    elif profile := _wanted_profile(options):
        found = _profile(profile)
        region = region or found.pop("region", "")
        found.pop("region", None)
        settings |= found
    # Private servers accept any region, but the signature needs one.
    return settings | {"region": region or "us-east-1"}


def _truthy(text: str) -> bool:
    return text.lower() in ("1", "true", "yes", "on")


def _wanted_profile(options: Options) -> str:
    """Return the profile to take credentials from; keys in the environment take precedence over the default profile."""
    if named := options.profile or os.environ.get("AWS_PROFILE", ""):
        return named
    keys_given = {"AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"}
    if keys_given & os.environ.keys():
        return ""
    return "default" if "default" in _files()[0] else ""


def _files() -> tuple[configparser.RawConfigParser, configparser.RawConfigParser]:
    """Return the content of AWS's two profile files: credentials and settings."""
    home = Path.home() / ".aws"
    names = (
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials",
        os.environ.get("AWS_CONFIG_FILE") or home / "config",
    )
    parsers = []
    for name in names:
        parser = configparser.RawConfigParser()
        parser.read(name, "utf-8")
        parsers.append(parser)
    return parsers[0], parsers[1]


def _profile(name: str) -> dict[str, Any]:
    """Return a profile's arguments for the client: keys, or a provider that gets keys."""
    credentials, settings = _files()
    section = "default" if name == "default" else f"profile {name}"
    found = dict(settings[section]) if section in settings else {}
    found |= dict(credentials[name]) if name in credentials else {}
    if not found:
        raise ConfigError(f"storage.profile: no profile {name!r} in AWS's credentials and config files")
    result: dict[str, Any] = {key.removeprefix("aws_"): found[key] for key in _KEYS if found.get(key)}
    if "region" in found:
        result["region"] = found["region"]
    if "access_key_id" in result:
        return result
    return result | {"credential_provider": _provider(name)}


def _provider(profile: str) -> Any:
    """Return a provider for profiles that hold no keys but a way to get them: SSO, a process, an assumed role."""
    try:
        import boto3  # noqa: PLC0415  only for such profiles
        from obstore.auth.boto3 import Boto3CredentialProvider  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"storage.profile: {profile!r} holds no keys but a way to get them, which needs boto3: install "
            'dcm2zarr[aws], or export keys first (eval "$(aws configure export-credentials --format env)")'
        ) from error
    return Boto3CredentialProvider(boto3.Session(profile_name=profile))
