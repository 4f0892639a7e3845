"""What passes by waiting is tried again, and nothing else."""

import pytest
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx as client

from comics_genai.publishing import retries


def failing(*faults: Exception):
    """A call that raises these one after the other, then answers; and the faults that are left."""
    left = list(faults)

    def call() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return call, left


def answered(status: int) -> HfHubHTTPError:
    request = client.Request("POST", "http://127.0.0.1")
    return HfHubHTTPError("", response=client.Response(status, request=request))


@pytest.fixture(autouse=True)
def no_wait(monkeypatch):
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.0)


@pytest.mark.parametrize("fault", [answered(503), answered(429), ConnectionResetError(), client.ConnectError("")])
def test_a_passing_fault_is_tried_again_but_not_for_ever(fault):
    call, left = failing(fault, fault)
    assert retries.retried(call) == "done" and left == []
    call, left = failing(*[fault] * 4)
    with pytest.raises(type(fault)):
        retries.retried(call, tries=3)
    assert len(left) == 1


@pytest.mark.parametrize("fault", [answered(403), answered(404), ValueError()])
def test_what_waiting_cannot_mend_is_raised_at_once(fault):
    call, left = failing(fault, fault)
    with pytest.raises(type(fault)):
        retries.retried(call)
    assert len(left) == 1


@pytest.mark.parametrize("fault", [client.ReadTimeout(""), client.ConnectTimeout("")])
def test_silence_is_waited_through_once_more_alone(fault):
    call, left = failing(fault, answered(503))
    assert retries.retried(call) == "done" and left == []
    call, left = failing(fault, answered(503), fault, fault)
    with pytest.raises(type(fault)):
        retries.retried(call)
    assert len(left) == 1
