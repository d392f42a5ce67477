"""A party: a small linear model in numpy, like the parties of the other measurements."""

from __future__ import annotations

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.query("predict")
def predict(message: Message, context: Context) -> Message:
    """(query, feature) -> probabilities (query, class)."""
    queries = next(iter(message.content.array_records.values()))["queries"].numpy()
    config = context.run_config
    rng = np.random.default_rng(int(context.node_config["partition-id"]))
    weights = rng.standard_normal((int(config["n-features"]), int(config["n-classes"])), dtype=np.float32)
    logits = queries @ weights
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    answers = powers / powers.sum(axis=1, keepdims=True)
    return Message(RecordDict({"answers": ArrayRecord({"answers": Array(answers)})}), reply_to=message)
