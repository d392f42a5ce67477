"""Models are compiled while others answer, in threads of one process."""

import threading

import torch
from torch import nn

from fi_workbench.mpc.compiler import compile_module


def deep(seed):
    torch.manual_seed(seed)
    layers = [layer for _ in range(12) for layer in (nn.Linear(4, 4), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(4, 3)).eval()


def test_tracing_in_one_thread_disturbs_no_model_in_another():
    """torch.fx replaces what calls a module, for the whole process."""
    failures, stop = [], threading.Event()

    def repeat(work):
        try:
            while not stop.is_set():
                work()
        except Exception as error:  # noqa: BLE001 (whatever it is, it is what this test is about)
            failures.append(error)

    answering, compiled = deep(0), [deep(1), deep(2)]
    sample = torch.randn(8, 4)
    wanted = answering(sample)

    def answer():
        assert torch.equal(answering(sample), wanted)

    def compiling(module):
        compile_module(module, (4,), input_bound=8.0, sample=sample.numpy(), name="it")

    works = [answer, *((lambda module=module: compiling(module)) for module in compiled)]
    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    stop.wait(2.0)
    stop.set()
    for thread in threads:
        thread.join(20)
    assert failures == []
