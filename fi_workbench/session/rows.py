"""A round as plain data for the history: one entry a round, one tidy row for each round and party."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fi_workbench.core.records import RoundRecord


def round_entry(record: RoundRecord, arrays: bool) -> dict[str, Any]:
    """A record as the history keeps it: ``to_dict`` and each party's own accuracy where answers and truth are known."""
    entry = record.to_dict(arrays=arrays)
    entry["party_accuracy"] = own_accuracies(record)
    entry["oracle_accuracy"] = oracle_accuracy(record)
    return entry


def own_accuracies(record: RoundRecord) -> dict[str, float]:
    """Accuracy of each present party on the round's own queries; empty where not disclosed or not labelled."""
    if record.answers is None or record.truth is None:
        return {}
    right = record.answers.argmax(axis=2) == record.truth
    return {party: float(right[record.parties.index(party)].mean()) for party in record.present}


def oracle_accuracy(record: RoundRecord) -> float | None:
    """Share of queries that any present party answers rightly: a bound, not a rule."""
    if record.answers is None or record.truth is None:
        return None
    rows = [record.parties.index(party) for party in record.present]
    right = record.answers[rows].argmax(axis=2) == record.truth
    return float(np.any(right, axis=0).mean())


COLUMNS = (
    "round", "round_id", "started", "rule", "mechanism", "party",
    "status", "reason", "contribution", "share", "contribution_value", "payment_micro", "behaviour", "accuracy",
    "latency_seconds", "n_queries", "consensus_accuracy", "oracle_accuracy", "round_seconds", "bytes_out",
    "bytes_in", "digest",
)  # fmt: skip
"""Columns of the tidy table, in order."""


def party_rows(entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One tidy row for each party of a history entry."""
    settings, cost = entry["settings"], entry["cost"]
    absent = {absence["party"]: absence for absence in entry["absent"]}
    for index, party in enumerate(entry["parties"]):
        absence = absent.get(party)
        shares, values = entry["contributions"], entry["contribution_values"]
        yield {
            "round": entry["round"],
            "round_id": entry["round_id"],
            "started": entry["started"],
            "rule": settings.get("rule"),
            "mechanism": "+".join(member["name"] for member in settings.get("mechanism", [])),
            "party": party,
            "status": absence["kind"] if absence else "present",
            "reason": absence["reason"] if absence else "",
            "contribution": entry["contribution"],
            "share": None if shares is None else shares[index],
            "contribution_value": None if values is None else values[index],
            "payment_micro": None if entry.get("payments") is None else entry["payments"][index],
            "behaviour": entry.get("behaviours", {}).get(party, ""),
            "accuracy": entry.get("party_accuracy", {}).get(party),
            "latency_seconds": entry["latency_seconds"].get(party),
            "n_queries": entry["n_queries"],
            "consensus_accuracy": entry["accuracy"],
            "oracle_accuracy": entry.get("oracle_accuracy"),
            "round_seconds": cost["seconds"],
            "bytes_out": cost["bytes_out"],
            "bytes_in": cost["bytes_in"],
            "digest": entry["digest"],
        }
