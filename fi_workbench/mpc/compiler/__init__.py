"""From a torch module to the plan of its secure evaluation, or to an error that names the layer."""

from fi_workbench.mpc.compiler.compiling import compile_module
from fi_workbench.mpc.compiler.refusing import Inexact, NotSupported, OutOfBounds

__all__ = ["Inexact", "NotSupported", "OutOfBounds", "compile_module"]
