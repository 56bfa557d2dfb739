"""Files that kill, stop or fill a process cost themselves, and nothing else."""

from __future__ import annotations

import ctypes
import os
import time

import pytest

from campaigns import poison
from pipeline.isolation.child_process import Death, run_apart
from pipeline.isolation.fresh_interpreter import call_fresh
from runner import parse


def test_poison_on_worker_processes_costs_its_files_alone():
    options = "--series 2 --multi-frame 1 --files 12 --share 0.4 --seed 2 --salvage --seconds 60 --timeout 900"
    assert poison.run(parse("campaigns", "poison", *options.split(), "--kinds", "segfault", "eat", "once")) == {}


def test_poison_that_leaves_its_process_alive_costs_its_files_alone_on_threads():
    options = "--cluster threads --series 2 --multi-frame 1 --files 8 --share 0.4 --seconds 4 --timeout 900"
    kinds = ["hang", "raise", "sys_exit", "out_of_memory"]
    assert poison.run(parse("campaigns", "poison", *options.split(), "--kinds", *kinds)) == {}


def tell(send, *messages):
    for message in messages:
        send(message)


def crash(send):
    send(1)
    ctypes.string_at(0)


def leave(_):
    os._exit(7)


def sleep(send):
    send(1)
    time.sleep(60)


def eat(send):
    send(1)
    eaten = []
    while True:
        eaten.append(b"\1" * 2**22)


def kill(_):
    os.kill(os.getpid(), 9)


def test_messages_come_in_order_and_need_no_death():
    assert list(run_apart(tell, (1, None, "done", [2]), seconds=30, memory=2**30)) == [1, None, "done", [2]]


@pytest.mark.parametrize(
    ("target", "before", "reason", "text"),
    [
        (crash, [1], "crashed", "ended by signal SIGSEGV"),
        (leave, [], "crashed", "ended with exit status 7"),
        (sleep, [1], "timeout", "stopped after 2 seconds"),
        (eat, [1], "memory", "stopped because it took more memory than limits.decode_memory allows"),
        (kill, [], "memory", "killed by the system, probably because memory ran out"),
    ],
)
def test_a_death_tells_how(target, before, reason, text):
    seconds = 2 if target is sleep else 30
    assert list(run_apart(target, (), seconds=seconds, memory=2**27)) == [*before, Death(reason, text)]


def test_a_fresh_interpreter_answers_through_whatever_is_printed():
    assert call_fresh(os.getpid) != os.getpid()
    assert call_fresh(print, "printed by a decoder") is None


def test_errors_come_back_from_a_fresh_interpreter():
    with pytest.raises(FileNotFoundError):
        call_fresh(os.listdir, "/there/is/no/such/folder")
    with pytest.raises(RuntimeError, match="ended with status 3"):
        call_fresh(os._exit, 3)
