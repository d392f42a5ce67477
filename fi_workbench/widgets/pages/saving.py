"""A button whose file the browser saves, and one that takes a file of the reader's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

from fi_workbench.core.errors import FederationError

_MODULE = """
export default {
  render({ model, el }) {
    const button = document.createElement("button");
    button.type = "button";
    const describe = () => {
      button.textContent = model.get("label");
      button.title = model.get("help");
      button.disabled = model.get("busy");
    };
    button.className = "jupyter-button widget-button fi-save-button";
    button.addEventListener("click", () => model.send({ kind: "save" }));
    const save = (message, buffers) => {
      if (message.kind !== "file") return;
      const link = document.createElement("a");
      link.download = message.name;
      link.href = URL.createObjectURL(new Blob(buffers, { type: message.type }));
      document.body.append(link);
      link.click();
      link.remove();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    };
    model.on("change", describe);
    model.on("msg:custom", save);
    describe();
    el.append(button);
    return () => {
      model.off("change", describe);
      model.off("msg:custom", save);
    };
  },
};
"""

_LOAD = """
export default {
  render({ model, el }) {
    const field = document.createElement("input");
    Object.assign(field, { type: "file", accept: model.get("accept"), hidden: true });
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: model.get("label"), title: model.get("help") });
    button.className = "jupyter-button widget-button fi-load-button";
    button.addEventListener("click", () => field.click());
    field.addEventListener("change", async () => {
      const [file] = [...field.files];
      field.value = "";
      if (file) model.send({ kind: "file", name: file.name }, undefined, [await file.arrayBuffer()]);
    });
    el.append(button, field);
  },
};
"""


class SaveButton(anywidget.AnyWidget):
    """Asks ``make()`` for a file's name, type and content when pressed.

    Parameters
    ----------
    label, hint : str
    make : callable
        ``() -> (name, MIME type, bytes)``.
    tell : callable
        Takes what went wrong, in words.
    """

    _esm = _MODULE

    label = traitlets.Unicode().tag(sync=True)
    help = traitlets.Unicode().tag(sync=True)
    busy = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self, label: str, hint: str, make: Callable[[], tuple[str, str, bytes]], tell: Callable[[str], Any]
    ) -> None:
        super().__init__(label=label, help=hint)
        self.make, self._tell = make, tell
        self.on_msg(lambda _widget, message, _buffers: self._asked(message))

    def _asked(self, message: dict[str, Any]) -> None:
        if message.get("kind") != "save":
            return
        self.busy = True
        try:
            name, kind, content = self.make()
        except FederationError as error:
            self._tell(f"{self.label}: nothing was saved. {error}")
        except Exception as error:  # noqa: BLE001 (a drawing library or a disk: whatever it is, it is told)
            self._tell(f"{self.label}: nothing was saved. {type(error).__name__}: {error}")
        else:
            self.send({"kind": "file", "name": name, "type": kind}, [content])
        finally:
            self.busy = False


class LoadButton(anywidget.AnyWidget):
    """Hands the content of a file that the reader chose to ``take(content)``.

    Parameters
    ----------
    label, hint : str
    accept : str
        Endings, as a browser takes them.
    take : callable
    """

    _esm = _LOAD

    label = traitlets.Unicode().tag(sync=True)
    help = traitlets.Unicode().tag(sync=True)
    accept = traitlets.Unicode().tag(sync=True)

    def __init__(self, label: str, hint: str, accept: str, take: Callable[[bytes], Any]) -> None:
        super().__init__(label=label, help=hint, accept=accept)
        self._take = take
        self.on_msg(lambda _widget, message, buffers: self._given(message, buffers))

    def _given(self, message: dict[str, Any], buffers: list[Any]) -> None:
        if message.get("kind") == "file" and buffers:
            self._take(bytes(buffers[0]))
