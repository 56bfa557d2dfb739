"""The ledger of finished work, the lock and the seal of an output directory."""

from pipeline.output import ledger, lock_holder, recorded_results
from pipeline.output.flushing import flush
from pipeline.output.folder_checks import begin, check_places, name_prefixes, no_result_error, refuse_links
from pipeline.output.ledger import Finished, Ledger
from pipeline.output.lock import Ticket, find_holder, find_holders, hold_lock, show_at_work, ticket, wait_for_tasks
from pipeline.output.lock_holder import Holder, still_held
from pipeline.output.seal import file_digest, sealed_files, sealed_names
from pipeline.output.space import explain_disk_errors, too_small

__all__ = [
    "Finished",
    "Holder",
    "Ledger",
    "Ticket",
    "begin",
    "check_places",
    "explain_disk_errors",
    "file_digest",
    "find_holder",
    "find_holders",
    "flush",
    "hold_lock",
    "ledger",
    "lock_holder",
    "name_prefixes",
    "no_result_error",
    "recorded_results",
    "refuse_links",
    "sealed_files",
    "sealed_names",
    "show_at_work",
    "still_held",
    "ticket",
    "too_small",
    "wait_for_tasks",
]
