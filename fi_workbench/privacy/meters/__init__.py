"""Meters of leakage: what an attacker gets out of what it sees, measured; and an audit of claimed guarantees.

``meters`` holds them by name. Each is a pure function of a :class:`~fi_workbench.privacy.meters.sight.Sight`.
"""

# in the order in which they are shown
# isort: off
from fi_workbench.privacy.meters import membership as _membership  # registers its members
from fi_workbench.privacy.meters import shadows as _shadows  # registers its member
from fi_workbench.privacy.meters import copying as _copying  # registers its member
from fi_workbench.privacy.meters import prior as _prior  # registers its member

# isort: on
from fi_workbench.privacy.meters.audit import Audit, audit_epsilon, audit_noise
from fi_workbench.privacy.meters.contract import Measured, Meter, Reading, leakage_meter, meters
from fi_workbench.privacy.meters.separation import separation
from fi_workbench.privacy.meters.sight import Sample, Sight

__all__ = [
    "Audit",
    "Measured",
    "Meter",
    "Reading",
    "Sample",
    "Sight",
    "audit_epsilon",
    "audit_noise",
    "leakage_meter",
    "meters",
    "separation",
]
del _copying, _membership, _prior, _shadows
