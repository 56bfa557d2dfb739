"""The section ``storage``: how to reach object stores."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr

from pipeline.config.base import Bytes, Count, Section
from pipeline.config.choices import check_endpoint, check_store_options, check_urls

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Store(Section):
    """How to reach an object store.

    Credentials aren't part of it: they come from the environment, from profiles, or from the machine's own role.
    """

    endpoint: Annotated[StrictStr, AfterValidator(check_endpoint)] = ""
    """Address of a server other than the provider's, such as https://s3.example.org; for all kinds of stores."""
    region: StrictStr = ""
    """The bucket's region; by default the region of the environment or the profile."""
    profile: StrictStr = ""
    """A profile in AWS's credentials files; by default the profile of AWS_PROFILE, or keys in the environment."""
    anonymous: StrictBool = False
    """Send unsigned requests; for public buckets."""
    path_style: StrictBool = True
    """Name the bucket in the path of requests, as most private servers need, instead of in the host name."""
    allow_http: StrictBool = False
    """Allow an endpoint without TLS: all pixels then travel in the clear."""
    retries: Annotated[StrictInt, Field(ge=0, lt=2**31)] = 8
    """How often to repeat a request after errors that may pass (5xx, resets, cut answers, timeouts), with growing
    pauses."""
    timeout: Seconds = 120.0
    """Seconds that one request may take, including its body."""
    connect_timeout: Seconds = 10.0
    """Seconds that connecting may take."""
    requests: Count = 8
    """Concurrent requests of each task."""
    prefetch: Bytes = 16 * 2**20
    """Bytes that each task fetches ahead."""
    options: Annotated[dict[str, StrictStr | StrictBool | StrictInt], AfterValidator(check_store_options)] = {}
    """Other settings of obstore under its own names, such as account_name for Azure; no secrets."""


class Storage(Store):
    """How to reach the object stores of source and output."""

    at: Annotated[dict[str, Store], AfterValidator(check_urls)] = {}
    """Separate settings for everything below a URL such as s3://archive, if source and output lie in different stores."""
