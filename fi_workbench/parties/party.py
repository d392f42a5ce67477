"""A party: the owner of one private model, as the rest of the house sees it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Outputs, Queries, check_answer, check_queries
from fi_workbench.core.errors import InvalidAnswer, InvalidParty
from fi_workbench.parties.declared import check_classes, check_name, check_shape
from fi_workbench.parties.facts import PrivateFacts
from fi_workbench.parties.sklearn_model import SklearnModel

if TYPE_CHECKING:  # torch takes seconds to import: only those who bring a torch model pay for it
    from torch import nn

ModelFunction: TypeAlias = Callable[[Queries], Any]
"""(query, *input_shape) -> (query, class), logits or probabilities."""


@dataclass(frozen=True, eq=False, repr=False)
class Party:
    """The owner of one private model.

    Make one with :meth:`from_torch`, :meth:`from_sklearn` or :meth:`from_callable`.

    Parameters
    ----------
    name : str
        Short printable text, at most 40 characters.
    classes : tuple of str
        Names of the classes, at least two, all different; their order is the order of the class axis.
    input_shape : tuple of int
        Shape of one query, without the batch axis.
    outputs : {"logits", "probabilities"}
        What ``function`` returns.
    function : callable
        Array (query, *input_shape) -> array (query, class). May be called from several threads at once.
    facts : PrivateFacts
        What the party knows of its training data; used locally, never sent.
    model : str
        The kind of model in a word, as its owner calls it.
    made_here : bool
        Whether this kernel made the party for a demonstration, so that its private facts may be drawn.
    sample : array (query, *input_shape), optional
        Some queries of the owner's own, never sent: how large values get within the model is measured on them.

    Raises
    ------
    InvalidParty
        A declaration that is incomplete or contradicts itself.
    """

    name: str
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    outputs: Outputs
    function: ModelFunction
    facts: PrivateFacts = field(default_factory=PrivateFacts)
    model: str = "model"
    made_here: bool = False
    sample: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        object.__setattr__(self, "classes", check_classes(self.name, self.classes))
        object.__setattr__(self, "input_shape", check_shape(self.name, self.input_shape))
        if self.outputs not in get_args(Outputs):
            raise InvalidParty(
                f'Party {self.name!r} declares outputs={self.outputs!r}; it must be "logits" or "probabilities".'
            )
        if not callable(self.function):
            raise InvalidParty(f"Party {self.name!r} needs a callable model, not {type(self.function).__name__}.")
        if self.sample is not None:
            object.__setattr__(self, "sample", check_queries(self.sample, self.input_shape))
        counts = self.facts.class_counts
        if counts is not None and len(counts) != len(self.classes):
            raise InvalidParty(
                f"Party {self.name!r} has {len(self.classes)} classes but class_counts of length {len(counts)}; "
                "give one count per class, 0 where it holds none."
            )

    @property
    def n_classes(self) -> int:
        """Length of the class axis."""
        return len(self.classes)

    @property
    def module(self) -> nn.Module | None:
        """The torch module, where the model is one."""
        return getattr(self.function, "module", None)

    @property
    def is_helper(self) -> bool:
        """Whether it has no model: see :func:`fi_workbench.parties.helper.helper`."""
        return self.model == "helper"

    def predict(self, queries: Any) -> NDArray[np.floating[Any]]:
        """Answer a batch of queries, (query, *input_shape) -> (query, class), checked at both ends.

        Raises
        ------
        InvalidQuery
            A batch that the model cannot take.
        InvalidAnswer
            An answer that breaks what the party declared.
        """
        checked = check_queries(queries, self.input_shape)
        # a copy each way: a model that writes into its input or reuses its output buffer must not reach other parties
        values = np.array(self.function(np.array(checked)))
        return check_answer(values, self.outputs, len(checked), self.n_classes, f"Party {self.name!r}")

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.input_shape))
        return (
            f"Party({self.name!r}, {self.model}: {shape} -> {self.outputs} of {self.n_classes} classes, "
            f"private facts: {', '.join(sorted(self.facts.names())) or 'none'})"
        )

    @classmethod
    def from_torch(
        cls,
        module: nn.Module,
        *,
        name: str,
        classes: Sequence[str],
        input_shape: Sequence[int],
        outputs: Outputs = "logits",
        device: str = "auto",
        class_counts: Any = None,
        data_size: int | None = None,
        temperature: float | None = None,
        sample: Any = None,
        batch_size: int = 1024,
        model: str | None = None,
        probe: bool = True,
    ) -> Party:
        """A party whose model is a torch module.

        The module is not copied: training it further changes what the party answers. It is moved to ``device`` once,
        here, and computes in the dtype of its parameters. Every prediction runs in evaluation mode without gradients
        and leaves each submodule in the mode it was found in. Predictions of one module are made one at a time.

        Parameters
        ----------
        module : torch.nn.Module
            (query, *input_shape) -> (query, class).
        name, classes, input_shape, outputs
            See :class:`Party`.
        device : str
            ``"auto"`` is CUDA where there is one, else MPS, else the CPU; otherwise a torch device.
        class_counts, data_size, temperature
            See :class:`PrivateFacts`.
        sample : array (query, *input_shape), optional
            Some of the owner's own queries, for secure inference; see :class:`Party`.
        batch_size : int
            At most so many queries go through the module at once.
        model : str, optional
            The kind of model in a word; the class name of the module otherwise.
        probe : bool
            Ask one zero query now, so that a wrong shape or class count shows here.

        Raises
        ------
        InvalidParty
            A declaration that does not fit the module.
        """
        from fi_workbench.parties.torch_model import TorchModel  # noqa: PLC0415 (see above: torch)

        check_name(name)
        return cls(
            name=name,
            classes=check_classes(name, classes),
            input_shape=check_shape(name, input_shape),
            outputs=outputs,
            function=TorchModel(module, device=device, batch_size=batch_size),
            facts=PrivateFacts(class_counts, data_size, temperature),
            model=model or type(module).__name__,
            sample=sample,
        )._probed(probe)

    @classmethod
    def from_sklearn(
        cls,
        estimator: Any,
        *,
        name: str,
        classes: Sequence[str],
        input_shape: Sequence[int],
        outputs: Outputs = "probabilities",
        class_counts: Any = None,
        data_size: int | None = None,
        temperature: float | None = None,
        model: str | None = None,
        probe: bool = True,
    ) -> Party:
        """A party whose model is a fitted scikit-learn classifier with ``predict_proba``.

        Queries are flattened to (query, feature). The columns follow ``estimator.classes_``: class names are looked up
        in ``classes``, whole numbers are positions in it. A class that the estimator never saw gets probability 0.

        Parameters
        ----------
        estimator : scikit-learn classifier
        name, classes, input_shape
            See :class:`Party`.
        outputs : {"probabilities", "logits"}
            Logits are the logarithms of the probabilities, with zeros held at 1e-12.
        class_counts, data_size, temperature
            See :class:`PrivateFacts`.
        model : str, optional
            The kind of model in a word; the class name of the estimator otherwise.
        probe : bool
            Ask one zero query now, so that a wrong shape or class count shows here.

        Raises
        ------
        InvalidParty
            An estimator without probabilities, not fitted, or that does not fit the declaration.
        """
        check_name(name)
        names, shape = check_classes(name, classes), check_shape(name, input_shape)
        return cls(
            name=name,
            classes=names,
            input_shape=shape,
            outputs=outputs,
            function=SklearnModel(estimator, names, n_features=math.prod(shape), outputs=outputs, who=name),
            facts=PrivateFacts(class_counts, data_size, temperature),
            model=model or type(estimator).__name__,
        )._probed(probe)

    @classmethod
    def from_callable(
        cls,
        function: ModelFunction,
        *,
        name: str,
        classes: Sequence[str],
        input_shape: Sequence[int],
        outputs: Outputs = "probabilities",
        class_counts: Any = None,
        data_size: int | None = None,
        temperature: float | None = None,
        model: str | None = None,
        probe: bool = True,
    ) -> Party:
        """A party whose model is any function: array (query, *input_shape) -> array (query, class).

        The function may be called from several threads at once. Parameters and errors as for :meth:`from_torch`;
        ``probe=False`` spares an expensive function the zero query.
        """
        check_name(name)
        return cls(
            name=name,
            classes=check_classes(name, classes),
            input_shape=check_shape(name, input_shape),
            outputs=outputs,
            function=function,
            facts=PrivateFacts(class_counts, data_size, temperature),
            model=model or "callable",
        )._probed(probe)

    def _probed(self, probe: bool) -> Party:
        """Itself, after it answered one zero query as declared."""
        if not probe:
            return self
        query = np.zeros((1, *self.input_shape), dtype=np.float32)
        try:
            self.predict(query)
        except InvalidAnswer as error:
            raise InvalidParty(f"Party {self.name!r} does not answer as declared. {error}") from error
        except Exception as error:  # whatever a foreign model raises means the same: it cannot take this query
            raise InvalidParty(
                f"Party {self.name!r} could not answer a query of shape {query.shape}: {type(error).__name__}: "
                f"{error}. Check input_shape and the model; probe=False skips this check."
            ) from error
        return self


def version_of(module: nn.Module | None) -> str:
    """Which state a module's parameters and buffers are in: another one after every change, without reading them."""
    if module is None:
        return ""
    tensors = (*module.parameters(), *module.buffers())
    # what was made in inference mode cannot be changed outside of it, and has no version
    return ".".join(f"{one.data_ptr():x}-{0 if one.is_inference() else one._version}" for one in tensors)
