"""The views' Python side: what they accept, what they refuse, what travels."""

import itertools
import math
import re
import threading
from pathlib import Path

import numpy as np
import pytest
import traitlets

from fi_workbench.core.errors import FederationError, UnknownName
from fi_workbench.widgets import views
from fi_workbench.widgets.views import front_end, palette
from fi_workbench.widgets.views.traits import CannotDraw

ALL = [getattr(views, name) for name in views.__all__ if isinstance(getattr(views, name), type)]
ALL = [view for view in ALL if issubclass(view, views.View) and view is not views.View]


@pytest.fixture
def messages(monkeypatch):
    """What a view sends from now on: (content, buffers) of each message."""

    def record(view):
        sent = []

        def publish(_kind, data=None, metadata=None, buffers=None, **_):
            sent.append((data, list(buffers or ())))

        monkeypatch.setattr(view.comm, "publish_msg", publish)
        return sent

    return record


def full(view):
    """Values for an update that touches much of a view."""
    parties = ("A", "B")
    return {
        views.ContributionBars: {"parties": parties, "shares": (0.7, 0.3), "statuses": ("present", "late")},
        views.HeatMap: {"rows": ("A", "B"), "columns": ("x",), "values": ((0.5,), (1.0,))},
        views.PayBars: {"parties": parties, "paid": (1.0, 2.0), "merit": (1.5, None), "equal": (1.5, 1.5)},
        views.BudgetGauges: {"parties": parties, "kinds": ("open", "unlimited"), "spent": (1.0, None)},
        views.AccuracyDots: {"names": ("x", "y"), "kinds": ("rule", "oracle"), "accuracies": (0.7, None)},
        views.RiskCurves: {"names": ("x",), "n_steps": 1, "steps": np.ones((1, 3, 1)), "aurcs": (0.1,)},
        views.SeriesLines: {"names": ("consensus",), "points": np.zeros((1, 3))},
        views.ClassCounts: {"parties": parties, "classes": ("x", "y"), "counts": ((1, 2), None)},
        views.GainBars: {"parties": parties, "gains": (0.1, -0.1), "gains_own": (None, 0.0)},
        views.QueryView: {"parties": parties, "classes": ("x", "y"), "scores": (0.4, 0.6), "n_queries": 3, "truth": 1},
        views.DisclosureMatrix: {"roles": ("client",), "items": (("query", (True,)),), "assumptions": ("None.",)},
        views.StatusLine: {"status": "running", "sentence": "Two parties answer.", "rate": 12.5},
        views.LogLines: {"lines": (("12:00:00", "info", "started"),)},
        views.KeyCatcher: {},
        views.ChoiceTable: {"columns": ({"name": "rule"},), "rows": (("soft_vote",),), "selected": 0},
        views.LeakDots: {"names": ("AUC",), "values": (0.6,), "lows": (0.5,), "highs": (0.7,), "chances": (0.5,)},
        views.TradeOffPlot: {
            "names": ("x",),
            "rules": (0, 0),
            "mechanisms": ("a", "b"),
            "places": ("epsilon", "none"),
            "epsilons": (4.0, None),
            "accuracies": (0.7, 0.8),
            "sizes": (3.0, 4.0),
        },
        views.MessageFlow: {
            "players": ("you", "A"),
            "lines": (
                {
                    "group": "online",
                    "sender": 0,
                    "receiver": 1,
                    "name": "opened",
                    "size": "8 B",
                    "first": "9c",
                    "counts": (4, 4),
                    "said": "uniform",
                    "fair": True,
                },
            ),
        },
        views.TableView: {"columns": ({"name": "rule"},), "rows": (("soft_vote",),)},
    }[view]


@pytest.mark.parametrize("view", ALL, ids=lambda view: view.__name__)
class TestEveryView:
    def test_update_is_one_message_and_counts_the_round(self, view, messages):
        one = view()
        sent = messages(one)
        one.update(**full(view))
        assert len(sent) == 1
        state = sent[0][0]["state"]
        assert state["round"] == 1
        assert full(view).keys() - {"points", "steps", "values"} <= state.keys()
        assert one.round == 1

    def test_only_what_changed_travels(self, view, messages):
        one = view(**full(view))
        sent = messages(one)
        one.update(**full(view), round=7)
        assert [set(data["state"]) for data, _ in sent] == [{"round"}]

    def test_refused_update_changes_and_sends_nothing(self, view, messages):
        one = view()
        sent = messages(one)
        with pytest.raises(traitlets.TraitError):
            one.update(title="new", empty_text=3)
        assert (one.title, one.round, sent) == (view().title, 0, [])
        one.update(title="new")
        assert len(sent) == 1

    def test_unknown_names_are_refused_by_name(self, view):
        with pytest.raises(UnknownName, match=r"trait of .* called 'tilte'.* Did you mean 'title'"):
            view(tilte="x")
        with pytest.raises(UnknownName, match="tilte"):
            view().update(tilte="x")

    def test_requests_reach_the_listener_each(self, view):
        one = view()
        heard = []
        one.on_request(heard.append)
        for kind in (*view.requests, view.requests[0]):
            one._handle_custom_msg({"request": kind}, [])
        assert heard == [*view.requests, view.requests[0]]
        assert one.request == {"kind": view.requests[0], "n": len(view.requests) + 1}
        one._handle_custom_msg({"other": "message"}, [])
        with pytest.raises(UnknownName, match="explode"):
            one._hear(one, {"request": "explode"}, [])

    def test_values_are_immutable_and_never_nan(self, view):
        one = view(**full(view))
        for name in one.class_traits(sync=True):
            if name in full(view) or name == "colours":
                value = getattr(one, name)
                assert not isinstance(value, list | np.ndarray)
                assert "nan" not in repr(value)

    def test_threads_do_not_mix_frames(self, view, messages):
        one = view()
        sent = messages(one)
        threads = [threading.Thread(target=lambda: [one.update() for _ in range(20)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert one.round == 80
        assert [data["state"]["round"] for data, _ in sent] == list(range(1, 81))


@pytest.mark.parametrize(
    ("view", "values", "message"),
    [
        (views.ContributionBars, {"shares": [1.0]}, "shares has 1 entries for 0 parties"),
        (views.ContributionBars, {"parties": ["A"], "shares": ["much"]}, "takes numbers or None; entry 0 is 'much'"),
        (views.ContributionBars, {"parties": ["A"], "shares": [True]}, "entry 0 is True"),
        (views.ContributionBars, {"parties": ["A"], "accuracies": [1.2]}, "from 0 to 1; entry 0 is 1.2"),
        (views.ContributionBars, {"parties": ["A"], "latencies_ms": [-1]}, "from 0 to inf"),
        (views.ContributionBars, {"parties": [3]}, "takes texts; entry 0 is 3"),
        (views.ContributionBars, {"parties": "AB"}, "expected a sequence of texts"),
        (views.ContributionBars, {"shares": 0.5}, "expected a sequence of numbers or None"),
        (views.ContributionBars, {"parties": ["A"], "colours": [0.5]}, "whole numbers or None; entry 0 is 0.5"),
        (views.GainBars, {"parties": ["A"], "gains": [12.0]}, "from -1 to 1"),
        (views.SeriesLines, {"names": ["a"], "kinds": ["wavy"]}, "knows consensus, best, oracle, bound, party"),
        (views.SeriesLines, {"names": ["a", "b"], "points": b"\0\0\0\0"}, "holds 1 values for 2 series"),
        (views.SeriesLines, {"points": b"\0\0\0"}, "3 bytes are not"),
        (views.SeriesLines, {"points": "abc"}, "expected an array of numbers"),
        (views.SeriesLines, {"limits": (1, 0)}, r"takes \(low, high\)"),
        (views.ClassCounts, {"parties": ["A"], "classes": ["x"], "counts": [[1, 2]]}, "'A' has 2 counts for 1 classes"),
        (views.ClassCounts, {"parties": ["A"], "classes": ["x"], "counts": [[-1]]}, "counts from 0, not"),
        (views.ClassCounts, {"parties": ["A"], "classes": ["x"], "counts": [[None]]}, "or None where they are private"),
        (views.ClassCounts, {"parties": ["A"], "counts": 3}, "whole numbers per class"),
        (views.QueryView, {"image": b"123", "height": 2, "width": 2}, "holds 3 bytes for 2 x 2 x 1 pixels"),
        (views.QueryView, {"classes": ["x"], "scores": [0.1, 0.9]}, "scores has 2 entries for 1 classes"),
        (views.QueryView, {"classes": ["x"], "truth": 1}, "class 1 of 1"),
        (views.QueryView, {"n_queries": 3, "position": 3}, "is 3 of 3 queries"),
        (
            views.QueryView,
            {"parties": ["A"], "classes": ["x"], "answers": np.ones((2, 1))},
            "2 values for 1 parties x 1",
        ),
        (
            views.QueryView,
            {"parties": ["A"], "classes": ["x"], "answers": np.ones((1, 1)), "disclosed": False},
            "must not be sent to the page",
        ),
        (views.DisclosureMatrix, {"roles": ["client"], "items": [("query", [True, True])]}, "2 dots for 1 roles"),
        (views.DisclosureMatrix, {"items": [("query", ["yes"])]}, "one bool per role"),
        (views.DisclosureMatrix, {"items": ["query"]}, "one bool per role"),
        (
            views.DisclosureMatrix,
            {"roles": ["client"], "items": [("query", [True])], "before": [("sum", [True])]},
            "other items",
        ),
        (views.BudgetGauges, {"parties": ["A"], "kinds": ["full"]}, "knows open, refused, spent"),
        (views.BudgetGauges, {"parties": ["A"], "limits": [8.0, 2.0]}, "2 entries for 1 parties"),
        (views.BudgetGauges, {"parties": ["A"], "spent": [-1.0]}, "from 0 to inf"),
        (views.StatusLine, {"status": "dancing"}, "dancing"),
        (views.StatusLine, {"progress": 1.5}, "1.5"),
        (views.LogLines, {"lines": [("12:00", "shout", "x")]}, "info | warning | error"),
        (views.TableView, {"columns": [{"name": "x"}], "rows": [(1, 2)]}, "row 0 has 2 values for 1 columns"),
        (views.TableView, {"columns": [{"name": "x", "kind": "odd"}]}, "odd"),
        (views.TableView, {"columns": [{"name": "x"}], "rows": [(1,)], "faults": ["", ""]}, "2 entries for 1 rows"),
    ],
)
def test_bad_values_are_refused_clearly(view, values, message):
    with pytest.raises(traitlets.TraitError, match=message):
        view(**values)
    one = view()
    with pytest.raises(traitlets.TraitError, match=message):
        one.update(**values)
    assert one.round == 0
    assert {name: getattr(one, name) for name in values} == {name: getattr(view(), name) for name in values}


def test_refusal_is_an_error_of_ours():
    assert issubclass(CannotDraw, FederationError)
    assert issubclass(CannotDraw, traitlets.TraitError)


def test_numbers_take_arrays_and_turn_nan_into_none():
    bars = views.ContributionBars(parties=["A", "B", "C"], shares=np.array([0.5, np.nan, np.inf], dtype=np.float32))
    assert bars.shares == (0.5, None, None)
    assert all(type(share) in {float, type(None)} for share in bars.shares)
    bars.update(latencies_ms=[np.int64(3), None, 2.5])
    assert bars.latencies_ms == (3, None, 2.5)


class TestSeriesLines:
    def test_points_travel_as_one_float32_buffer(self, messages):
        lines = views.SeriesLines(names=["a", "b"])
        sent = messages(lines)
        lines.update(points=[[0.1, 0.2, 0.3], [1, 2, math.nan]])
        ((data, buffers),) = sent
        assert data["buffer_paths"] == [["points"]]
        assert np.frombuffer(buffers[0], "<f4").reshape(2, 3) == pytest.approx(
            np.array([[0.1, 0.2, 0.3], [1, 2, np.nan]]), nan_ok=True
        )

    def test_keeps_the_latest_500(self):
        lines = views.SeriesLines(names=["a"])
        lines.update(points=np.arange(650)[None])
        assert (lines.array.shape, lines.array[0, 0], lines.first_round) == ((1, 500), 150, 151)
        lines.append([650], title="Loss")
        assert (lines.array[0, -1], lines.first_round, lines.title) == (650, 152, "Loss")
        lines.clear()
        assert (lines.array.size, lines.first_round, lines.round) == (0, 1, 0)

    def test_refuses_other_shapes(self):
        lines = views.SeriesLines(names=["a", "b"])
        with pytest.raises(CannotDraw, match=r"\(2 series, points\), not \(3, 2\)"):
            lines.update(points=np.zeros((3, 2)))
        with pytest.raises(CannotDraw, match="takes 2 values, not 1"):
            lines.append([0.5])
        lines.append([0.5, None])
        assert np.isnan(lines.array[1, 0])


class TestQueryView:
    @pytest.mark.parametrize(
        ("query", "shape"),
        [
            (np.zeros((8, 6)), (8, 6)),
            (np.zeros((1, 8, 6)), (8, 6)),
            (np.zeros((3, 8, 6)), (8, 6, 3)),
            (np.zeros((8, 6, 3)), (8, 6, 3)),
            (np.zeros((8, 6, 1), dtype=np.uint8), (8, 6)),
            (np.zeros((1, 8, 3)), (1, 8, 3)),
            (np.full((2, 2), np.nan), (2, 2)),
        ],
    )
    def test_images_of_all_layouts(self, query, shape):
        assert views.as_image(query).shape == shape
        assert views.as_image(query).dtype == np.uint8

    def test_grey_values(self):
        assert views.as_image(np.array([[0, 255]], dtype=np.uint8)).tolist() == [[0, 255]]
        assert views.as_image(np.array([[0.0, 0.5]])).tolist() == [[0, 128]]
        assert views.as_image(np.array([[-1.0, 1.0]])).tolist() == [[0, 255]]
        assert views.as_image(np.array([[0, 8, 16]])).tolist() == [[0, 128, 255]]

    def test_other_shapes_are_refused(self):
        with pytest.raises(CannotDraw, match=r"not \(2, 4, 4\)"):
            views.as_image(np.zeros((2, 4, 4)))

    def test_show_query_is_one_message_for_images_and_vectors(self, messages):
        view = views.QueryView(parties=["A"], classes=["x", "y"])
        sent = messages(view)
        view.show_query(np.zeros((4, 4)), answers=[[0.5, 0.5]], n_queries=2)
        view.show_query(np.arange(3), position=1)
        assert len(sent) == 2
        assert sent[0][0]["buffer_paths"] == [["image"], ["answers"]] or len(sent[0][1]) == 2
        assert (view.vector, view.image, view.height, view.position) == ((0, 1, 2), b"", 0, 1)


class TestLogLines:
    def test_keeps_the_latest(self, messages):
        log = views.LogLines()
        sent = messages(log)
        log.extend(("12:00:00", "info", str(k)) for k in range(250))
        assert (len(sent), len(log.lines), log.lines[0][2], log.first) == (1, 200, "50", 50)
        log.append("late", level="warning")
        assert (log.lines[-1][1:], log.first) == (("warning", "late"), 51)
        assert re.fullmatch(r"\d\d:\d\d:\d\d", log.lines[-1][0])
        log.clear()
        assert (log.lines, log.first) == ((), 251)


def test_status_line_never_shows_nan():
    assert views.StatusLine(rate=math.nan).rate is None
    assert views.StatusLine(rate=math.inf).rate is None


def test_table_makes_cells_plain():
    table = views.TableView(columns=[{"name": "a"}, {"name": "b", "kind": "number", "unit": "ms"}])
    table.update(rows=[(np.str_("x"), np.float32(0.5)), (None, math.nan)])
    assert table.rows == (("x", 0.5), (None, None))
    assert table.columns[0] == {"name": "a", "unit": "", "kind": "text"}


MODULES = sorted(path.stem for path in front_end.STATIC.glob("*.js"))
ENTRIES = [name for name in MODULES if "export default" in (front_end.STATIC / f"{name}.js").read_text()]


class TestFrontEnd:
    def test_every_view_has_its_module(self):
        assert len(ENTRIES) == len(ALL) + 1  # the copy field is no picture

    @pytest.mark.parametrize("name", ENTRIES)
    def test_module_stands_alone(self, name):
        text = front_end.module(name)
        assert text.count("export ") == text.count("export default {") == 1
        assert "import {" not in text
        assert not re.search(r"https?://(?!www\.w3\.org)", text)  # nothing from elsewhere

    @pytest.mark.parametrize("name", ENTRIES)
    def test_names_do_not_collide(self, name):
        declared = re.findall(
            r"^(?:async )?(?:const|let|function|class) \*?(\w+)", front_end.module(name), re.MULTILINE
        )
        assert len(declared) == len(set(declared))

    @pytest.mark.parametrize("name", MODULES)
    def test_files_follow_the_loader_s_conventions(self, name):
        text = (front_end.STATIC / f"{name}.js").read_text()
        assert len(re.findall(r"^import\b", text, re.MULTILINE)) == len(front_end._IMPORT.findall(text))
        for imported, file in re.findall(r'^import \{ ([^}]*) \} from "\./(\w+)\.js";$', text, re.MULTILINE):
            for one in imported.split(", "):
                declaration = rf"^export (?:async )?(?:const|function) {one}\b"
                assert re.search(declaration, front_end._source(file), re.MULTILINE), f"{file}.js exports no {one}"
                assert len(re.findall(rf"\b{one}\b", text)) > 1, f"{name}.js does not use {one}"

    def test_stylesheets_take_every_colour_from_the_theme(self):
        for path in Path(front_end.STATIC).glob("*.css"):
            text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
            text = re.sub(r"var\([^()]*(\([^()]*\)[^()]*)*\)", "", text)  # a fallback within var() is fine
            text = text.replace("rgba(0, 0, 0, 0.2)", "")  # shadows
            assert not re.search(r"#[0-9a-fA-F]{3,8}\b|\brgba?\(", text), path.name
            assert set(re.findall(r"font-size: (\d+)px", text)) <= {"11", "13", "16"}


def _luminance(colour):
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return np.dot([0.2126, 0.7152, 0.0722], linear)


def _contrast(a, b):
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


class TestPalette:
    @pytest.mark.parametrize("index", range(8))
    def test_every_colour_can_be_told_from_the_ground(self, index):
        assert _contrast(palette.colour(index, line=True), "#FFFFFF") >= 2.99
        for ground in ("#111111", "#212121"):  # --jp-layout-color0 and 1 of JupyterLab Dark
            assert _contrast(palette.colour(index, dark=True), ground) >= 3

    def test_all_differ_and_none_is_the_consensus_black(self):
        for colours in (palette.FILLS, palette.FILLS_ON_DARK, palette.LINES_ON_LIGHT):
            assert len(set(colours)) == len(colours) == len(palette.NAMES) == 8
            assert all(_contrast(a, b) > 1 for a, b in itertools.combinations(colours, 2))
            assert "#000000" not in colours

    def test_ninth_is_the_first_hatched(self):
        assert palette.colour(8) == palette.colour(0)
        assert palette.is_hatched(8)
        assert not palette.is_hatched(0)
        with pytest.raises(ValueError, match="numbered from 0"):
            palette.colour(-1)

    def test_css_names_all_for_both_themes(self):
        assert palette.css().count("--fi-party-7:") == 2
        assert palette.css().count("--fi-line-0:") == 2
