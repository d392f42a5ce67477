import { NotebookActions, type INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';

import { WorkbenchError } from './tokens';

/** Something that a notebook can be connected to: what it is called, and the call that does it, after `fi.`. */
export interface ITarget {
  title: string;
  call: string;
}

export function attachTarget(name: string): ITarget {
  return { title: name, call: `attach(${JSON.stringify(name)})` };
}

export function superLinkTarget(address: string): ITarget {
  return { title: address, call: `Federation.connect(${JSON.stringify(address)})` };
}

/** The name by which code imports the package, if it does. */
export function importedAs(sources: readonly string[]): string | null {
  for (const source of sources) {
    const found = /^\s*import\s+fi_workbench(?:\s+as\s+([A-Za-z_]\w*))?\s*(?:#.*)?$/m.exec(source);
    if (found) {
      return found[1] ?? 'fi_workbench';
    }
  }
  return null;
}

/** Python that connects, with the import if `sources`, the code that is there, have none. */
export function connectionCode(target: ITarget, sources: readonly string[]): string {
  const alias = importedAs(sources);
  return `${alias ? '' : 'import fi_workbench as fi\n'}federation = ${alias ?? 'fi'}.${target.call}`;
}

/** Python for a notebook; `above` is how many of its cells come before it, all if not given. */
export function codeFor(target: ITarget, panel: NotebookPanel | null, above?: number): string {
  const cells = panel?.content.widgets.slice(0, above) ?? [];
  const code = cells.filter(cell => cell.model.type === 'code');
  return connectionCode(
    target,
    code.map(cell => cell.model.sharedModel.getSource())
  );
}

/** Write the connection into the active cell of the notebook last used, or, where that is taken, into a new one below. */
export async function insertCode(notebooks: INotebookTracker, target: ITarget): Promise<NotebookPanel> {
  const panel = notebooks.currentWidget;
  if (!panel) {
    throw new WorkbenchError('No notebook is open. Open one and try again, or open the workbench instead.');
  }
  await panel.context.ready;
  const { content } = panel;
  const code = codeFor(target, panel, content.activeCellIndex + 1);
  const active = content.activeCell;
  if (active?.model.type !== 'code' || active.model.sharedModel.getSource().trim()) {
    NotebookActions.insertBelow(content);
  }
  content.activeCell?.model.sharedModel.setSource(code);
  await NotebookActions.focusActiveCell(content);
  return panel;
}
