"""The models in the clear, in a process of its own: `python -m benchmarks.secure.plain`."""

from __future__ import annotations

import sys
import time
from typing import Any

import torch

from benchmarks.secure import models
from benchmarks.secure.serving import serve


class Plain:
    """All models of an ensemble, one after another."""

    def load(self, model: str, n_queries: int, n_models: int) -> None:
        self._models = [models.make(model, k) for k in range(n_models)]
        self._asked = torch.from_numpy(models.queries(n_queries))

    def ask(self) -> dict[str, Any]:
        """One batch; the second of two, since a process that just woke up is slow."""
        with torch.inference_mode():
            for _ in range(2):
                began = time.perf_counter()
                logits = sum(model(self._asked).double() for model in self._models)
                seconds = time.perf_counter() - began
        return {"seconds": seconds, "logits": logits.tolist()}


def main() -> int:
    torch.set_num_threads(1)
    plain = Plain()
    return serve({"load": plain.load, "ask": plain.ask})


if __name__ == "__main__":
    sys.exit(main())
