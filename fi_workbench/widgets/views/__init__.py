"""Live views: small pictures that move with the rounds, each its own anywidget.

They know nothing of federations: a panel gives them values with ``update(...)``, one message per frame, and hears of
presses by ``on_request(callback)``. They follow JupyterLab's themes, fit 400 to 1,150 px, and each has a table behind
it that can be copied and saved.
"""

from __future__ import annotations

from fi_workbench.widgets.views.accuracy_dots import AccuracyDots
from fi_workbench.widgets.views.budget_gauges import BudgetGauges
from fi_workbench.widgets.views.choice_table import ChoiceTable
from fi_workbench.widgets.views.class_counts import ClassCounts
from fi_workbench.widgets.views.contribution_bars import ContributionBars
from fi_workbench.widgets.views.copy_field import CopyField
from fi_workbench.widgets.views.disclosure_matrix import DisclosureMatrix
from fi_workbench.widgets.views.gain_bars import GainBars
from fi_workbench.widgets.views.heat_map import HeatMap
from fi_workbench.widgets.views.key_catcher import KeyCatcher
from fi_workbench.widgets.views.leak_dots import LeakDots
from fi_workbench.widgets.views.log_lines import LogLines
from fi_workbench.widgets.views.message_flow import MessageFlow
from fi_workbench.widgets.views.pay_bars import PayBars
from fi_workbench.widgets.views.query_view import QueryView, as_image
from fi_workbench.widgets.views.risk_curves import RiskCurves
from fi_workbench.widgets.views.series_lines import SeriesLines
from fi_workbench.widgets.views.status_line import StatusLine
from fi_workbench.widgets.views.table_view import TableView
from fi_workbench.widgets.views.trade_off_plot import TradeOffPlot
from fi_workbench.widgets.views.traits import CannotDraw
from fi_workbench.widgets.views.view import View

__all__ = [
    "AccuracyDots",
    "BudgetGauges",
    "CannotDraw",
    "ChoiceTable",
    "ClassCounts",
    "ContributionBars",
    "CopyField",
    "DisclosureMatrix",
    "GainBars",
    "HeatMap",
    "KeyCatcher",
    "LeakDots",
    "LogLines",
    "MessageFlow",
    "PayBars",
    "QueryView",
    "RiskCurves",
    "SeriesLines",
    "StatusLine",
    "TableView",
    "TradeOffPlot",
    "View",
    "as_image",
]
