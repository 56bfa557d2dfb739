"""The section `cluster`: where tasks run, from this process to a batch system."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from pipeline.config.base import Auto, Bytes, Count, FilePath, Section
from pipeline.config.choices import check_address, check_no_secrets

BATCH_SYSTEMS = ("slurm", "pbs", "lsf", "sge", "htcondor", "oar")
"""Kinds whose workers start as jobs, through dask-jobqueue."""

_STARTED = (*BATCH_SYSTEMS, "custom")
_FITS: dict[str, tuple[str, ...]] = {
    "address": ("address",),
    "class_name": ("custom",),
    "options": _STARTED,
    "adapt": _STARTED,
    "security": ("address", *_STARTED),
    "memory": ("local", *BATCH_SYSTEMS),
    "dashboard": ("local", *BATCH_SYSTEMS),
}
"""Key → the kinds that use the key; other kinds must keep its default."""
_NEEDS: dict[str, str] = {
    "address": "kind address needs the scheduler's address, such as tcp://10.0.0.1:8786",
    "class_name": "kind custom needs the dotted name of a cluster class, such as dask_kubernetes.operator.KubeCluster",
}


def _rules(schema: dict[str, Any]) -> None:
    """Add the rules of the validators below to the JSON Schema."""
    rules: list[dict[str, Any]] = []
    for key, kinds in _FITS.items():
        node = schema["properties"][key]
        condition: dict[str, Any] = {"properties": {"kind": {"enum": list(kinds)}}}
        if schema["properties"]["kind"]["default"] not in kinds:
            condition["required"] = ["kind"]
        rules.append({"if": condition, "else": {"properties": {key: {"const": node["default"]}}}})
    rules += [
        {
            "if": {"properties": {"kind": {"const": _FITS[key][0]}}, "required": ["kind"]},
            "then": {"properties": {key: {"minLength": 1}}, "required": [key]},
        }
        for key in _NEEDS
    ]
    counted = {"properties": {"workers": {"type": "integer"}}, "required": ["workers"]}
    adapting = {"properties": {"adapt": {"type": "object"}}, "required": ["adapt"]}
    rules.append({"not": {"allOf": [counted, adapting]}})
    rules.append(
        {
            "if": {"properties": {"kind": {"enum": list(BATCH_SYSTEMS)}}, "required": ["kind"]},
            "then": {"anyOf": [counted, adapting]},
        }
    )
    schema["allOf"] = rules


class Adapt(Section):
    """Bounds between which the number of workers follows the number of waiting tasks."""

    minimum: Count = 1
    """Workers that the cluster keeps throughout the run."""
    maximum: Count
    """Most workers that the cluster requests when many tasks wait."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.minimum > self.maximum:
            raise PydanticCustomError(
                "below",
                "the minimum of {minimum} workers is above the maximum of {maximum}",
                {"key": "minimum", "minimum": self.minimum, "maximum": self.maximum},
            )
        return self


class Certificates(Section):
    """One certificate for scheduler, workers and client, and the authority that signed it; all in PEM format."""

    ca_file: FilePath
    """The authority's certificate. Relative paths start at the configuration file's folder."""
    cert: FilePath
    """The certificate of this run."""
    key: FilePath
    """The private key of `cert`."""


class Cluster(Section):
    """Where tasks run."""

    model_config = ConfigDict(json_schema_extra=_rules)

    kind: Literal[
        "synchronous", "threads", "local", "address", "slurm", "pbs", "lsf", "sge", "htcondor", "oar", "custom"
    ] = "local"
    """"synchronous": in this process; "threads": in threads of this process; "local": in worker processes of this machine;
    "address": on a running Dask scheduler; a batch system's name: in jobs that dask-jobqueue submits; "custom": on any
    Dask cluster class."""
    workers: Count | Auto = "auto"
    """Number of worker processes (or threads). "auto" means one per core, or a custom class's own number. Batch systems
    need a number or `adapt`."""
    threads_per_worker: Count = 1
    """Concurrent tasks in a worker process. Codecs release Python's GIL, but much other work holds it."""
    memory: Bytes | Auto = "auto"
    """Memory of one worker process, for local workers and batch systems. "auto" divides the machine's memory among local
    workers, and leaves jobs to `options` or Dask's own configuration. Workers that exceed it are restarted; a worker
    needs at least 300 MiB."""
    adapt: Adapt | None = None
    """Scale between a minimum and a maximum number of workers instead of a fixed number; for batch systems and custom
    classes."""
    address: Annotated[StrictStr, AfterValidator(check_address)] = ""
    """The scheduler's address, such as tcp://10.0.0.1:8786, for kind "address"."""
    class_name: StrictStr = ""
    """The dotted name of the cluster class for kind "custom", such as dask_kubernetes.operator.KubeCluster."""
    options: Annotated[dict[str, Any], AfterValidator(check_no_secrets)] = {}
    """Arguments of the cluster class, such as queue, walltime and job_extra_directives for dask-jobqueue."""
    security: Literal["auto", "none"] | Certificates = "auto"
    """TLS between driver, scheduler and workers. "auto" follows Dask's own configuration; if it has no certificates, batch
    systems get a certificate made for this run alone, as local workers always do. "none" is unencrypted: use it only in
    a network that you trust."""
    task_work: Bytes = 512 * 2**20
    """Work of one task, in bytes of native pixel data; the default takes about a second. Larger tasks relieve a slow
    scheduler, smaller tasks lose less work when a worker dies. The result is the same, and a run may continue with another
    value."""
    dashboard: StrictStr = ""
    """Address on which the scheduler's dashboard listens (needs bokeh). Batch systems use 127.0.0.1:8787 by default; local
    workers have a dashboard only if an address is given. Anyone who knows the address, which the run prints, can read it."""

    @model_validator(mode="after")
    def _keys_fit_kind(self) -> Self:
        fields = type(self).model_fields
        for key, text in _NEEDS.items():
            if self.kind in _FITS[key] and not getattr(self, key):
                raise PydanticCustomError("below", "{text}", {"key": key, "text": text})
        for key, kinds in _FITS.items():
            if self.kind not in kinds and getattr(self, key) != fields[key].get_default(call_default_factory=True):
                raise PydanticCustomError(
                    "below",
                    "only for kind {kinds}, but the kind is {kind}",
                    {"key": key, "kinds": " or ".join(kinds), "kind": self.kind},
                )
        return self

    @model_validator(mode="after")
    def _scaling_is_one(self) -> Self:
        if self.adapt and self.workers != "auto":
            raise PydanticCustomError("below", "either a number of workers or adapt, not both", {"key": "adapt"})
        if self.kind in BATCH_SYSTEMS and not self.adapt and self.workers == "auto":
            raise PydanticCustomError(
                "below",
                "kind {kind} needs a number of workers, or adapt with a minimum and a maximum",
                {"key": "workers", "kind": self.kind},
            )
        return self
