"""What an output directory holds beside images and tables: the ledger of finished work, the lock, the seal."""

from pipeline.output import ledger, lock_holder, recorded_results
from pipeline.output.flushing import flush
from pipeline.output.folder_checks import begin, check_places, inside, no_result, refuse_links
from pipeline.output.ledger import Finished, Ledger
from pipeline.output.lock import Ticket, at_work, holder, holders_of, locked, ticket, wait_for_tasks
from pipeline.output.lock_holder import Holder, still_held
from pipeline.output.seal import file_digest, sealed_files, sealed_names
from pipeline.output.space import explaining, too_small

__all__ = [
    "Finished",
    "Holder",
    "Ledger",
    "Ticket",
    "at_work",
    "begin",
    "check_places",
    "explaining",
    "file_digest",
    "flush",
    "holder",
    "holders_of",
    "inside",
    "ledger",
    "lock_holder",
    "locked",
    "no_result",
    "recorded_results",
    "refuse_links",
    "sealed_files",
    "sealed_names",
    "still_held",
    "ticket",
    "too_small",
    "wait_for_tasks",
]
