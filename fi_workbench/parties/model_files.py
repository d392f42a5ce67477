"""Saved models as parties: what each kind of file holds, and how it is loaded. torch only where a model needs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fi_workbench.core.errors import FederationError, InvalidAnswer, InvalidParty
from fi_workbench.parties.party import Party
from fi_workbench.parties.schema import Schema

if TYPE_CHECKING:
    from torch import nn

PROBED_BATCHES = (1, 3)
"""A model that was exported for one batch size fails at another: better here than in a round."""


def exported(path: Path, schema: Schema) -> Party:
    """A program saved by ``torch.export.save``."""
    import torch  # noqa: PLC0415 (torch takes seconds to import)

    return _of_module(path, schema, lambda: torch.export.load(path).module())


def scripted(path: Path, schema: Schema) -> Party:
    """TorchScript, or, with an architecture in the schema, a state dict: tensors alone are read of that."""
    import torch  # noqa: PLC0415 (as above)

    if schema.architecture is None:
        return _of_module(path, schema, lambda: _loaded_script(path))
    return _of_module(path, schema, lambda: _filled(schema, torch.load(path, map_location="cpu", weights_only=True)))


def parameters(path: Path, schema: Schema) -> Party:
    """Parameters of one of the workbench's architectures, as safetensors: data only."""
    from safetensors.torch import load_file  # noqa: PLC0415 (imports torch)

    return _of_module(path, schema, lambda: _filled(schema, load_file(path, device="cpu")))


def estimator(path: Path, schema: Schema) -> Party:
    """A fitted scikit-learn classifier saved by joblib. Loading it runs what is in it: load your own only."""
    import joblib  # noqa: PLC0415 (only who has such a model pays for it)

    if schema.architecture is not None:
        raise InvalidParty(f"{path.name} is a whole model; leave architecture out of its schema.")
    model = _read(path, lambda: joblib.load(path))
    return _probed(Party.from_sklearn(model, **schema.declared("probabilities"), probe=False))


LOADERS: dict[str, Callable[[Path, Schema], Party]] = {
    ".pt2": exported,
    ".pt": scripted,
    ".safetensors": parameters,
    ".joblib": estimator,
}
"""By the ending of the file's name."""


def _of_module(path: Path, schema: Schema, load: Callable[[], nn.Module]) -> Party:
    declared = schema.declared("logits")
    declared["model"] = declared["model"] or schema.architecture or "torch model"
    return _probed(Party.from_torch(_read(path, load), **declared, probe=False))


def _loaded_script(path: Path) -> nn.Module:
    import torch  # noqa: PLC0415 (as above)

    load: Callable[..., nn.Module] = torch.jit.load
    return load(path, map_location="cpu")


def _filled(schema: Schema, state: Any) -> nn.Module:
    import torch  # noqa: PLC0415 (as above)

    from fi_workbench.parties.models import architectures, build_model  # noqa: PLC0415 (imports torch)

    if schema.architecture is None:
        known = ", ".join(architectures)
        raise InvalidParty(f"These are parameters without a model: name its architecture in the schema ({known}).")
    module = build_model(schema.architecture, schema.input_shape, len(schema.classes), torch.Generator())
    module.load_state_dict(state)
    return module


def _read(path: Path, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except FederationError:
        raise
    except Exception as error:
        # each of the libraries has its own errors for a file that is torn or of another kind
        told = str(error).strip().splitlines() or [""]
        raise InvalidParty(
            f"{path} holds no model that can be loaded: {type(error).__name__}: {told[0]:.300}"
        ) from error


def _probed(party: Party) -> Party:
    """Itself, after it answered batches of several sizes."""
    for n_queries in PROBED_BATCHES:
        try:
            party.predict(np.zeros((n_queries, *party.input_shape), dtype=np.float32))
        except InvalidAnswer as error:
            raise InvalidParty(f"Party {party.name!r} does not answer as its schema says. {error}") from error
        except Exception as error:
            raise InvalidParty(
                f"Party {party.name!r} cannot answer {n_queries} queries of shape {party.input_shape} at once: "
                f"{type(error).__name__}. Check input_shape; a model that is exported takes any number with "
                'dynamic_shapes={"x": {0: torch.export.Dim("query")}}.'
            ) from error
    return party
