"""The section `cluster`: what runs the tasks, from this process to a batch system."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from pipeline.config.base import Auto, Bytes, Count, FilePath, Section
from pipeline.config.choices import check_address, check_no_secrets

BATCH_SYSTEMS = ("slurm", "pbs", "lsf", "sge", "htcondor", "oar")
"""Kinds that start their workers as jobs, by dask-jobqueue."""

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
"""Keys that only some kinds have; for the others they must keep their default."""
_NEEDS: dict[str, str] = {
    "address": "kind address needs the scheduler's address, such as tcp://10.0.0.1:8786",
    "class_name": "kind custom needs the dotted name of a cluster class, such as dask_kubernetes.operator.KubeCluster",
}


def _rules(schema: dict[str, Any]) -> None:
    """Add to the JSON Schema what the validators below say."""
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
    """Between how many workers the cluster scales, with the tasks that wait."""

    minimum: Count = 1
    """Workers that are kept while the run lasts."""
    maximum: Count
    """Workers that are asked for while there are tasks enough."""

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
    """The authority's certificate. Relative paths count from the configuration file's folder."""
    cert: FilePath
    """The certificate of this run."""
    key: FilePath
    """Its private key."""


class Cluster(Section):
    """What runs the tasks."""

    model_config = ConfigDict(json_schema_extra=_rules)

    kind: Literal[
        "synchronous", "threads", "local", "address", "slurm", "pbs", "lsf", "sge", "htcondor", "oar", "custom"
    ] = "local"
    """"synchronous" runs in this process, "threads" in its threads, "local" in worker processes of this machine,
    "address" on a running Dask scheduler, the names of batch systems in jobs that dask-jobqueue submits, "custom" on
    any class of Dask clusters."""
    workers: Count | Auto = "auto"
    """Worker processes (or threads); "auto" is one a core, and what a custom class starts by itself. Batch systems
    need a number, or `adapt`."""
    threads_per_worker: Count = 1
    """Tasks at once in a worker process; codecs release the GIL, much of the rest doesn't."""
    memory: Bytes | Auto = "auto"
    """Memory of one worker process, for local workers and batch systems; "auto" shares out what the machine has, and
    is what `options` or Dask's own configuration say of a job. Workers that exceed it are restarted; less than 300 MiB
    don't hold one."""
    adapt: Adapt | None = None
    """Scale between a minimum and a maximum of workers instead of a fixed number; for batch systems and custom
    classes."""
    address: Annotated[StrictStr, AfterValidator(check_address)] = ""
    """The scheduler's address, such as tcp://10.0.0.1:8786, for kind "address"."""
    class_name: StrictStr = ""
    """The dotted name of the class for kind "custom", such as dask_kubernetes.operator.KubeCluster."""
    options: Annotated[dict[str, Any], AfterValidator(check_no_secrets)] = {}
    """Arguments of the cluster's class, such as queue, walltime and job_extra_directives of dask-jobqueue's."""
    security: Literal["auto", "none"] | Certificates = "auto"
    """TLS between driver, scheduler and workers. "auto" is what Dask's own configuration says, and for batch systems
    otherwise a certificate made for this run alone, which local workers always have; "none" is unencrypted, in a
    network that nobody reaches but those you trust."""
    task_work: Bytes = 512 * 2**20
    """Work of one task, in bytes of native pixel data to store; the default takes about a second. Larger tasks spare a slow
    scheduler, smaller ones are lost sooner. What is stored is the same, and a run may go on with another value."""
    dashboard: StrictStr = ""
    """Where the scheduler's dashboard listens (needs bokeh), such as 127.0.0.1:8787, which is what batch systems use;
    local workers have none unless it is given. It answers those who know its address, which the run prints."""

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
