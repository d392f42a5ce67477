import base64
import json

import numpy as np
import pandas as pd
import pytest

import fi_workbench as fi
from fi_workbench.core.errors import InvalidData, UnknownName
from fi_workbench.session import report
from fi_workbench.session.history import History
from fi_workbench.widgets.views import palette


@pytest.fixture(scope="module")
def history():
    with fi.Federation.demo(n_parties=3, epochs=2, model="logistic_regression", history=None) as federation:
        images, labels = federation.dataset.test_images, federation.dataset.test_labels
        for _ in federation.stream(images, labels, batch_size=32, n_rounds=6):
            pass
        return federation.history


def words(figure):
    return [annotation.text for annotation in figure.layout.annotations]


def test_accuracy(history):
    figure = report.accuracy_figure(history, window=3)
    consensus, best, oracle = figure.data
    assert consensus.name == "consensus"
    assert best.name.startswith("best party")
    assert oracle.name == "oracle"
    assert [consensus.line.dash, best.line.dash, oracle.line.dash] == ["solid", "dash", "dot"]
    accuracies = [entry["accuracy"] for entry in history]
    assert consensus.y[-1] == pytest.approx(np.mean(accuracies[-3:]))
    assert tuple(figure.layout.yaxis.range) == (0, 1.02)
    assert sorted(text.split()[0] for text in words(figure)) == ["best", "consensus", "oracle"]
    assert figure.layout.showlegend is None


def test_contributions(history):
    figure = report.contribution_figure(history)
    assert [line.name for line in figure.data] == ["A", "B", "C"]
    assert [line.line.color for line in figure.data] == list(report.LINES[:3])
    assert sum(line.y[-1] for line in figure.data) == pytest.approx(1)
    assert "shapley" in figure.layout.title.text
    assert figure.layout.showlegend is False


def test_labels_that_would_meet_move_apart():
    history = History()
    entry = {"parties": list("ABCD"), "contribution": "equal", "contributions": [0.25] * 4, "round": 1}
    history._entries.append(json.dumps(entry))
    places = [annotation.y for annotation in report.contribution_figure(history).layout.annotations]
    assert np.diff(places).min() > 0.01


def test_more_than_five_have_a_legend():
    history = History()
    entry = {"parties": list("ABCDEFGHI"), "contribution": "equal", "contributions": [1 / 9] * 9, "round": 1}
    history._entries.append(json.dumps(entry))
    figure = report.contribution_figure(history)
    assert figure.layout.showlegend
    assert figure.data[8].line.dash == "dash"
    assert not words(figure)


def test_partition():
    counts = {party: [party, 2, 0] for party in range(10)}
    figure = report.partition_figure({str(party): row for party, row in counts.items()}, ["x", "y", "z"])
    assert len(figure.data) == 10
    assert tuple(figure.data[3].customdata) == (3, 2, 0)
    assert figure.data[3].y.max() <= 0.9
    assert [bar.marker.pattern.shape for bar in figure.data][7:] == ["", "/", "/"]
    assert words(figure)[3] == "5 samples"


def test_nothing_to_draw_is_refused_in_words():
    with pytest.raises(InvalidData, match="true labels"):
        report.accuracy_figure(History())
    with pytest.raises(InvalidData, match="contributions"):
        report.contribution_figure(History())
    with pytest.raises(InvalidData, match="private"):
        report.partition_figure({})
    with pytest.raises(InvalidData, match="differ in length"):
        report.partition_figure({"A": [1, 2], "B": [1]})


def test_html_stands_alone(history, tmp_path):
    path = report.save_figure(report.accuracy_figure(history), tmp_path / "accuracy.html")
    page = path.read_text(encoding="utf-8")
    assert "Plotly.newPlot" in page
    assert 'src="http' not in page


def test_png_or_what_is_missing(history, tmp_path, monkeypatch):
    figure = report.accuracy_figure(history)
    pixel = base64.b64decode("iVBORw0KGgo=")
    monkeypatch.setattr(type(figure), "to_image", lambda *_args, **_options: pixel)
    assert report.save_figure(figure, tmp_path / "accuracy.png").read_bytes() == pixel

    def missing(*_args, **_options):
        raise ValueError("Kaleido is not there")

    monkeypatch.setattr(type(figure), "to_image", missing)
    with pytest.raises(report.CannotSave, match="pip install kaleido"):
        report.save_figure(figure, tmp_path / "again.png")
    assert not (tmp_path / "again.png").exists()


def test_other_endings_are_refused(history, tmp_path):
    with pytest.raises(UnknownName, match=r"\.html, \.png"):
        report.save_figure(report.accuracy_figure(history), tmp_path / "accuracy.pdf")


def test_colours_are_those_of_the_workbench():
    assert report.COLOURS == palette.FILLS
    assert report.LINES == palette.LINES_ON_LIGHT


def test_matrix():
    table = pd.DataFrame([[0.5, np.nan], [4.0, 1.0]], index=["copy_peer", "slow"], columns=[("equal", 0.1), ("x", 1.0)])
    figure = report.matrix_figure(table, title="Gain", unit="times", middle=1.0)
    cells = figure.data[0]
    assert list(cells.y) == ["copy peer", "slow"]
    assert list(cells.x) == ["equal, 0.1", "x, 1"]
    assert [list(line) for line in cells.text] == [["0.5", ""], ["4", "1"]]
    assert (cells.zmin + cells.zmax) / 2 == pytest.approx(1.0)
    np.testing.assert_array_equal(cells.customdata, table)
    assert figure.layout.title.text == "Gain, times"


def test_matrix_of_nothing():
    with pytest.raises(InvalidData, match="no numbers"):
        report.matrix_figure(pd.DataFrame([[np.nan]]), title="Nothing")
