"""One process of CrypTen 0.4.1; runs in the environment that the benchmark makes, without fi_workbench.

CrypTen was written for an older torch. Three adjustments around its ONNX converter let it run under torch 2.13; its
files stay as they are. Everything else is as shipped: its default provider of masks, or its separate third party.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
import warnings
from typing import Any

import torch

from benchmarks.secure import models
from benchmarks.secure.serving import serve


def adjust() -> None:
    """Let CrypTen's converter run; called before anything else of crypten is."""
    # 1. the registry of symbolic functions has moved; the names that CrypTen registers by are public
    registration = importlib.import_module("torch.onnx._internal.torchscript_exporter.registration")
    sys.modules["torch.onnx._internal.registration"] = registration
    converter = importlib.import_module("crypten.nn.onnx_converter")
    export = torch.onnx.export

    def traced(f: Any, module: torch.nn.Module, given: torch.Tensor) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            export(
                module, (given,), f, do_constant_folding=False, export_params=True,
                input_names=["input"], output_names=["output"], opset_version=converter._OPSET_VERSION,
                dynamo=False,  # 2. the exporter that traces is no longer the default; 3. nor is its type an option
            )  # fmt: skip
        return f

    converter._export_pytorch_model = traced  # type: ignore[attr-defined]


class Rank:
    """What a rank of the group does."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.models: list[Any] = []
        self.asked: Any = None

    def join(self) -> str:
        """Meet the others."""
        self.crypten = importlib.import_module("crypten")
        self.crypten.init()
        return str(self.crypten.__version__)

    def load(self, model: str, n_queries: int, n_models: int) -> float:
        """Share models and queries; seconds that it took."""
        began = time.perf_counter()
        dummy, self.models = torch.zeros(n_queries, *models.INPUT_SHAPE), []
        for k in range(n_models):
            shared = self.crypten.nn.from_pytorch(models.make(model, k), dummy)
            shared.encrypt(src=0)
            self.models.append(shared.eval())
        self.asked = self.crypten.cryptensor(torch.from_numpy(models.queries(n_queries)), src=0)
        return time.perf_counter() - began

    def ask(self) -> dict[str, Any]:
        """One batch: from shares of the queries to shares of the logits."""
        comm = self.crypten.comm.get()
        comm.reset_communication_stats()
        self.crypten.cfg.communicator.verbose = False
        comm.barrier()
        began = time.perf_counter()
        total = self.models[0](self.asked)
        for model in self.models[1:]:
            total = total + model(self.asked)
        comm.barrier()
        seconds = time.perf_counter() - began
        logits = total.get_plain_text()
        return {"seconds": seconds, "logits": logits.tolist() if self.number == 0 else None}

    def count(self) -> dict[str, Any]:
        """What CrypTen's own log says of one batch; not timed, since logging takes time."""
        comm = self.crypten.comm.get()
        self.crypten.cfg.communicator.verbose = True
        comm.reset_communication_stats()
        total = self.models[0](self.asked)
        for model in self.models[1:]:
            total = total + model(self.asked)
        stats = comm.get_communication_stats()
        self.crypten.cfg.communicator.verbose = False
        return {"n_bytes": stats["bytes"], "n_rounds": stats["rounds"]}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--world-size", type=int, required=True)
    parser.add_argument("--rendezvous", required=True)
    parser.add_argument("--provider", choices=("TFP", "TTP"), required=True)
    told = parser.parse_args()
    os.environ.update(
        RANK=str(told.rank), WORLD_SIZE=str(told.world_size), RENDEZVOUS=told.rendezvous, DISTRIBUTED_BACKEND="gloo"
    )
    torch.set_num_threads(1)
    adjust()
    configured = importlib.import_module("crypten.config")
    configured.cfg.mpc.provider = told.provider
    if told.rank == told.world_size:  # the separate third party; returns when the others leave
        importlib.import_module("crypten.mpc.provider.ttp_provider").TTPServer()
        return 0
    rank = Rank(told.rank)
    code = serve({"join": rank.join, "load": rank.load, "ask": rank.ask, "count": rank.count})
    sys.stderr.flush()
    os._exit(code)  # the group's other processes may have ended before; there is nothing to tidy


if __name__ == "__main__":
    sys.exit(main())
