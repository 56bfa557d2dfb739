"""The section ``storage``: how object stores are reached."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr

from pipeline.config.base import Bytes, Count, Section
from pipeline.config.choices import check_endpoint, check_store_options, check_urls

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Store(Section):
    """How an object store is reached.

    Credentials aren't part of it: they come from the environment, from profiles, or from the machine's own role.
    """

    endpoint: Annotated[StrictStr, AfterValidator(check_endpoint)] = ""
    """Address of a server that isn't the provider's own, such as https://s3.example.org; for all kinds of stores."""
    region: StrictStr = ""
    """The bucket's region; by default that of the environment or the profile."""
    profile: StrictStr = ""
    """A profile of AWS's files of credentials; by default AWS_PROFILE's, or keys in the environment."""
    anonymous: StrictBool = False
    """Send unsigned requests, to public buckets."""
    path_style: StrictBool = True
    """Name the bucket in the path of requests, as most servers of one's own need, rather than in the host name."""
    allow_http: StrictBool = False
    """Allow an endpoint without TLS: all pixels then travel in the clear."""
    retries: Annotated[StrictInt, Field(ge=0, lt=2**31)] = 8
    """How often a request is sent again after errors that may pass (5xx, resets, cut answers, timeouts), with
    growing pauses."""
    timeout: Seconds = 120.0
    """Seconds that one request may take, with its body."""
    connect_timeout: Seconds = 10.0
    """Seconds that a connection may take."""
    requests: Count = 8
    """Requests in flight for each task."""
    prefetch: Bytes = 16 * 2**20
    """Bytes fetched ahead for each task."""
    options: Annotated[dict[str, StrictStr | StrictBool | StrictInt], AfterValidator(check_store_options)] = {}
    """More settings of obstore, by its own names, such as account_name for Azure; no secrets."""


class Storage(Store):
    """How object stores are reached, as source and as output."""

    at: Annotated[dict[str, Store], AfterValidator(check_urls)] = {}
    """Settings of their own for what lies below a URL, such as s3://archive, where source and output are stores apart."""
