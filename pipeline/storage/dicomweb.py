"""DICOMweb (PS3.18): parse URLs, and find the instances of a query (QIDO-RS).

A source is ``dicomweb+https://host/root``, or a study, series or instance below it, optionally with a query:
``dicomweb+https://host/dicom-web?StudyDate=20200101-&ModalitiesInStudy=CT``. The name of each instance is its own URL,
``…/studies/<uid>/series/<uid>/instances/<uid>``.

Credentials come from the environment of the process that sends a request: a token in ``DICOMWEB_TOKEN``, or ``~/.netrc``. The
token is sent only to the services in ``DICOMWEB_TOKEN_FOR`` or, without that variable, to the configured sources. Lists and
redirections can't send it to another scheme, host or port.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from dicomweb_client import DICOMwebClient

from pipeline.errors import ConfigError, SourceError
from pipeline.storage.options import active
from pipeline.storage.origins import origin_of
from pipeline.storage.urls import hidden

TOKEN = "DICOMWEB_TOKEN"  # noqa: S105  the variable's name
TOKEN_FOR = "DICOMWEB_TOKEN_FOR"  # noqa: S105  the variable's name
PAGE = 1000
"""Matches requested at a time."""
_LEVELS = ("studies", "series", "instances")
_RESOURCE = re.compile(r"(?P<root>.*?)" + "".join(rf"(?:/{level}/(?P<{level}>[0-9.]+)" for level in _LEVELS) + ")?" * 3)
_STUDY = frozenset(
    [
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "ModalitiesInStudy",
        "ReferringPhysicianName",
        "PatientName",
        "PatientID",
        "PatientSex",
        "PatientBirthDate",
        "StudyInstanceUID",
        "StudyID",
        "StudyDescription",
        "InstitutionName",
    ]
)
_SERIES = frozenset(
    [
        "Modality",
        "SeriesInstanceUID",
        "SeriesNumber",
        "SeriesDescription",
        "BodyPartExamined",
        "ProtocolName",
        "StationName",
        "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime",
        "RequestAttributesSequence",
    ]
)
"""Keys that servers match at the level of studies or series (PS3.18 Tables 10.6.1-5); all others filter instances."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A parsed DICOMweb URL: the service, an optional study, series or instance, and a query."""

    scheme: str
    root: str
    """The service's own URL, ``https://host/dicom-web``."""
    uids: tuple[str, ...]
    """UIDs of study, series and instance, as far as the URL names them."""
    query: tuple[tuple[str, str], ...]

    @property
    def url(self) -> str:
        """The resource's own URL, to which requests go."""
        return self.root + "".join(f"/{level}/{uid}" for level, uid in zip(_LEVELS, self.uids, strict=False))

    def below(self, *uids: str) -> str:
        """Return the source name of an instance."""
        return f"dicomweb+{Resource(self.scheme, self.root, uids, ()).url}"


def parse(source: str) -> Resource:
    """Parse a source's URL.

    Raises
    ------
    ConfigError
        If it isn't a DICOMweb URL, uses plain http to another machine without ``storage.allow_http``, or has a query key
        that isn't a DICOM keyword.
    """
    parts = urlsplit(source.partition("+")[2])
    found = _RESOURCE.fullmatch(parts.path.rstrip("/"))
    if found is None or not parts.hostname:
        raise ConfigError(
            f"{hidden(source)}: expected dicomweb+https://host/root, optionally followed by /studies/<uid> and so on"
        )
    if parts.scheme == "http" and not (_is_loopback(parts.hostname) or active().allow_http):
        raise ConfigError(
            f"{hidden(source)}: others can read patient data that travels over plain http; use dicomweb+https, or set "
            "storage.allow_http: true in a network that you trust"
        )
    query = tuple(parse_qsl(parts.query, keep_blank_values=True))
    for keyword, _ in query:
        _check_keyword(keyword, source)
    uids = tuple(uid for level in _LEVELS if (uid := found[level]))
    return Resource(parts.scheme, f"{parts.scheme}://{parts.netloc}{found['root']}", uids, query)


def search(source: str) -> Iterator[str]:
    """Return the URLs of all instances of a source, study by study, series by series.

    Raises
    ------
    ConfigError
        See :func:`parse`.
    SourceError
        If the server doesn't answer or refuses the query. The first request is sent before the function returns.
    """
    resource = parse(source)
    if len(resource.uids) == len(_LEVELS):
        return iter([resource.below(*resource.uids)])
    studies = resource.uids[:1] or _search_uids(source, resource, "StudyInstanceUID", _filters(resource, _STUDY))
    return _instances(source, resource, tuple(studies))


def _instances(source: str, resource: Resource, studies: tuple[str, ...]) -> Iterator[str]:
    others = {key: value for key, value in resource.query if key not in _STUDY | _SERIES}
    for study in studies:
        series = resource.uids[1:2] or _search_uids(
            source, resource, "SeriesInstanceUID", _filters(resource, _SERIES), study
        )
        for series_uid in series:
            for uid in _search_uids(source, resource, "SOPInstanceUID", others, study, series_uid):
                yield resource.below(study, series_uid, uid)


def _search_uids(source: str, resource: Resource, keyword: str, filters: Mapping[str, str], *above: str) -> list[str]:
    """Return the sorted UIDs that a search finds.

    Servers may limit each answer, and some ignore the offset: the loop asks until an answer holds nothing new.
    """
    client = _client(resource.root, threading.get_ident())
    searches: tuple[Any, ...] = (client.search_for_studies, client.search_for_series, client.search_for_instances)
    search, tag = searches[len(above)], client.lookup_tag(keyword)
    found: set[str] = set()
    seen = 0
    while True:
        try:
            rows = search(*above, search_filters=dict(filters), fields=[keyword], limit=PAGE, offset=seen)
        except requests.exceptions.JSONDecodeError as error:
            problem = "the server answers the search with something other than DICOM JSON, such as a login page"
            raise SourceError(f"{source}: {problem}", source=source) from error
        except requests.RequestException as error:
            raise request_error(source, error) from error
        new = {_uid(row, tag, source) for row in rows} - found
        if not new:
            return sorted(found)
        found |= new
        seen += len(rows)


def _uid(row: Any, tag: str, source: str) -> str:
    """Return the UID in a match (PS3.18 F.2.2); SourceError if it is missing, so that no match is skipped silently."""
    try:
        (value,) = row[tag]["Value"]
    except (KeyError, TypeError, ValueError):
        value = None
    if not value or not isinstance(value, str):
        problem = f"the server answers the search with a match without UID ({tag}), so that dcm2zarr can't request it"
        raise SourceError(f"{source}: {problem}", source=source)
    return value


def _filters(resource: Resource, level: frozenset[str]) -> dict[str, str]:
    return {key: value for key, value in resource.query if key in level}


def _client(root: str, thread: int) -> DICOMwebClient:
    options = active()
    client = DICOMwebClient(root, session=session_of(thread, root), timeout=(options.connect_timeout, options.timeout))
    client.set_http_retry_params(retry=options.retries > 0, max_attempts=options.retries + 1)
    return client


def session_of(thread: int, url: str) -> requests.Session:
    """Return the session of one thread for the origin of `url`; it keeps connections, which threads can't share."""
    origin = origin_of(url)
    token = os.environ.get(TOKEN, "") if origin in _token_origins(origin) else ""
    return _session(thread, origin, token, allow_http=active().allow_http)


def _token_origins(asked: str) -> tuple[str, ...]:
    """Return the origins that may get the token; `asked` is the origin of the request."""
    if named := os.environ.get(TOKEN_FOR, "").split():
        return tuple(map(origin_of, named))
    given = active().token_origins
    return (asked,) if given is None else given


@lru_cache(maxsize=256)
def _session(_thread: int, origin: str, token: str, *, allow_http: bool) -> requests.Session:
    session = _Session(allow_http=allow_http)
    if token and origin:
        session.auth = _Bearer(token)  # or else requests looks into ~/.netrc
    return session


class _Session(requests.Session):
    """A session that sends credentials only to their own origin, also after redirections."""

    def __init__(self, *, allow_http: bool) -> None:
        super().__init__()
        self._allow_http = allow_http
        # the same variable as for object stores; REQUESTS_CA_BUNDLE, if set, comes first
        self.verify = os.environ.get("SSL_CERT_FILE") or True

    def should_strip_auth(self, old_url: str, new_url: str) -> bool:
        """Return whether a redirection leads to another scheme, host or port."""
        return origin_of(old_url) != origin_of(new_url)

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Follow a redirection without the token; refuse a redirection to unencrypted http."""
        parts = urlsplit(prepared_request.url or "")
        if parts.scheme == "http" and not (self._allow_http or _is_loopback(str(parts.hostname or ""))):
            raise requests.exceptions.InvalidURL("the server redirects to plain http", response=response)
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]


class _Bearer(requests.auth.AuthBase):
    """A token (RFC 6750)."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def request_error(source: str, error: Exception) -> SourceError:
    """Return the error for a failed request: the request, the answer, and what to do."""
    answer = getattr(error, "response", None)
    if answer is None:
        return SourceError(f"{source}: the server can't be reached: {type(error).__name__}: {error}", source=source)
    status = answer.status_code
    if isinstance(error, requests.exceptions.InvalidURL):
        what = "the server redirects to plain http, over which others can read patient data"
    elif status in (401, 403) and os.environ.get(TOKEN) and origin_of(source) not in _token_origins(origin_of(source)):
        what = (
            f"the server refuses access ({status}); the token in {TOKEN} is for other servers: make this server a source, or "
            f"set {TOKEN_FOR}={origin_of(source)}"
        )
    elif status in (401, 403):
        what = f"the server refuses access ({status}); put a token into {TOKEN}, or user and password into ~/.netrc"
    else:
        what = f"the server answers {status} {answer.reason}"
    reason = "file_not_found" if status in (404, 410) else None
    return SourceError(f"{source}: {what}", reason=reason, source=source)


def _check_keyword(keyword: str, source: str) -> None:
    try:
        DICOMwebClient.lookup_tag(keyword)
    except Exception as error:
        raise ConfigError(
            f"{hidden(source)}: {keyword!r} is no DICOM keyword; a query's keys must be keywords"
        ) from error


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
