import type { ICodeCell } from '@jupyterlab/nbformat';
import type { INotebookTracker } from '@jupyterlab/notebook';
import { MimeData } from '@lumino/coreutils';
import { Drag } from '@lumino/dragdrop';
import type * as React from 'react';

import { codeFor, type ITarget } from './code';

const CELLS = 'application/vnd.jupyter.cells';
const FAR_ENOUGH_PX = 5;

/** Begin to drag `target` once the pointer has moved away: into a cell it drops code, elsewhere in a notebook a cell. */
export function dragFrom(event: React.MouseEvent, target: ITarget, notebooks: INotebookTracker): void {
  const { clientX, clientY } = event;
  if (event.button !== 0) {
    return;
  }
  const end = (): void => {
    document.removeEventListener('mousemove', onMove, true);
    document.removeEventListener('mouseup', end, true);
  };
  const onMove = (moved: MouseEvent): void => {
    if (Math.abs(moved.clientX - clientX) + Math.abs(moved.clientY - clientY) < FAR_ENOUGH_PX) {
      return;
    }
    end();
    const data = new CodeOrCell(codeFor(target, notebooks.currentWidget));
    void new Drag({
      mimeData: data,
      dragImage: data.image(),
      supportedActions: 'copy',
      proposedAction: 'copy'
    })
      .start(moved.clientX, moved.clientY)
      .then(() => data.dispose());
  };
  document.addEventListener('mousemove', onMove, true);
  document.addEventListener('mouseup', end, true);
}

/**
 * Code that is text over the editor of a cell, and a cell anywhere else in a notebook: a notebook takes whatever holds
 * cells before its editors are asked, so over these there must be none.
 */
class CodeOrCell extends MimeData {
  constructor(private readonly source: string) {
    super();
    const cell: ICodeCell = { cell_type: 'code', metadata: {}, source, execution_count: null, outputs: [] };
    this.setData('text/plain', source);
    this.setData(CELLS, [cell]);
    document.addEventListener('pointermove', this.onMove, true);
    document.addEventListener('pointerup', this.onMove, true);
  }

  override hasData(mime: string): boolean {
    return super.hasData(mime) && !(mime === CELLS && this._overEditor);
  }

  image(): HTMLElement {
    const image = document.createElement('pre');
    image.className = 'fi-DragImage';
    image.textContent = this.source.split('\n').pop() ?? '';
    return image;
  }

  dispose(): void {
    document.removeEventListener('pointermove', this.onMove, true);
    document.removeEventListener('pointerup', this.onMove, true);
  }

  private readonly onMove = ({ clientX, clientY }: MouseEvent): void => {
    const under = document.elementsFromPoint(clientX, clientY);
    this._overEditor = under.some(element => element.matches('.jp-CodeCell .jp-CodeMirrorEditor'));
  };

  private _overEditor = false;
}
