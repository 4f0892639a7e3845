"""Signals that ask a training to stop: which, and what a command ends with."""

import os
import signal

import pytest

from comics_genai.training.stopping import NUMBERS, StopSignals, exit_status


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_is_a_wish_and_afterwards_all_is_as_before(number):
    before = {each: signal.getsignal(each) for each in NUMBERS}
    with StopSignals() as signals:
        assert signals.received == ""
        os.kill(os.getpid(), number)
        assert signals.received == signal.Signals(number).name
        # A second one acts as it would have without.
        assert signal.getsignal(number) == before[number]
    assert {each: signal.getsignal(each) for each in NUMBERS} == before


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.received == ""
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("reason", "status"), [("", 0), ("SIGINT", 130), ("SIGTERM", 143), ("SIGUSR1", 143), ("the time budget", 143)]
)
def test_what_stopped_a_training_is_its_exit_status(reason, status):
    assert exit_status(reason) == status
