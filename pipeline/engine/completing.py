"""The last stage: when all that can be done is done, the catalog, the report, and a seal on the whole."""

from __future__ import annotations

from pipeline import catalog, report, scan
from pipeline.config import RunConfig
from pipeline.engine.converting import Conversion
from pipeline.engine.flushing import flush
from pipeline.engine.seal import sealed_files
from pipeline.engine.state import Clock, Prepared
from pipeline.engine.summary import outcomes, summarise
from pipeline.storage import place


def complete(config: RunConfig, prepared: Prepared, conversion: Conversion, clock: Clock) -> report.RunSummary:
    """Write the catalog and the report of a conversion, and record that the run has ended.

    What wasn't converted is ``failed`` in the catalog, reason ``not_converted``.

    Raises
    ------
    OutputError
        Where they can't be written.
    """
    out = place(conversion.job.out)
    with clock.phase("finalise"):
        catalog.assemble(
            str(out),
            prepared.segments,
            outcomes(prepared, conversion),
            scan.column_kinds(config),
            without=frozenset(prepared.replaced),
        )
        summary = summarise(out, config, clock, prepared, conversion)
        report.write(str(out), summary)
        flush(out)
        conversion.ledger.append_files(sealed_files(out))
    return summary
