import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';

import type { ITarget } from './code';
import { federationIcon } from './icon';
import { PANE_KEY, paneNotebook, paneSource } from './template';
import { WorkbenchError } from './tokens';
import { pythonKernel, runWorkbench } from './workbench';

/**
 * The pane of a federation is a notebook with one folded cell: JupyterLab itself restores it, ipywidgets draws in it
 * (in an output area of our own it would not), and it can be kept, renamed and grown into more.
 */
export async function openPane(
  app: JupyterFrontEnd,
  notebooks: INotebookTracker,
  target: ITarget,
  cwd: string
): Promise<NotebookPanel> {
  const open = notebooks.find(panel => paneTarget(panel)?.call === target.call);
  if (open) {
    app.shell.activateById(open.id);
    return open;
  }
  const beside = notebooks.currentWidget;
  const folder = beside ? beside.context.path.replace(/[^/]*$/, '').replace(/\/$/, '') : cwd;
  const name = `Federation ${target.title.replace(/[^\w .-]+/g, '-')}.ipynb`;
  const path = folder ? `${folder}/${name}` : name;
  const { contents, kernelspecs } = app.serviceManager;
  const kernel = await pythonKernel(kernelspecs);
  const { content: there } = await contents.get(folder, { type: 'directory', content: true });
  if (!(there as { name: string }[]).some(file => file.name === name)) {
    const content = paneNotebook(target, kernel.name, kernel.display_name);
    await contents.save(path, { type: 'notebook', format: 'json', content });
  }
  askedFor.add(path);
  await app.commands.execute('docmanager:open', {
    path,
    factory: 'Notebook',
    kernel: { name: kernel.name },
    options: beside?.isVisible ? { mode: 'split-right', ref: beside.id } : {}
  });
  const panel = notebooks.find(candidate => candidate.context.path === path);
  if (!panel) {
    throw new WorkbenchError(`${path} was written but did not open. Open it from the file browser.`);
  }
  return panel;
}

/** Panes that somebody asked for in this page; each runs when it opens. */
const askedFor = new Set<string>();

/** Have panes run by themselves: when they open and after their kernel was restarted, but never twice in one kernel. */
export function keepPanesRunning(notebooks: INotebookTracker, onError: (error: unknown) => void): void {
  const tend = async (panel: NotebookPanel): Promise<void> => {
    await panel.context.ready;
    if (!paneTarget(panel) || !(runsByItself(panel) || askedFor.has(panel.context.path))) {
      return;
    }
    panel.addClass('fi-Pane');
    panel.title.icon = federationIcon;
    await panel.sessionContext.ready;
    await runIfFresh(panel);
    let restarting = false;
    panel.sessionContext.statusChanged.connect((_, status) => {
      if (status === 'restarting' || status === 'autorestarting') {
        restarting = true;
      } else if (status === 'idle' && restarting) {
        restarting = false;
        runIfFresh(panel).catch(onError);
      }
    });
  };
  const begin = (panel: NotebookPanel): void => {
    tend(panel).catch(error => panel.isDisposed || onError(error));
  };
  notebooks.forEach(begin);
  notebooks.widgetAdded.connect((_, panel) => begin(panel));
}

function paneTarget(panel: NotebookPanel): ITarget | null {
  const said = panel.model?.getMetadata(PANE_KEY) as Partial<ITarget> | undefined;
  return typeof said?.title === 'string' && typeof said.call === 'string' ? { title: said.title, call: said.call } : null;
}

/**
 * Whether a pane may run without anybody having asked for it. Opening a notebook that came from elsewhere must run
 * nothing of it: this one holds the very cell that this extension writes, and attaches to a federation of this machine.
 */
function runsByItself(panel: NotebookPanel): boolean {
  const target = paneTarget(panel);
  const name = target && /^attach\(("(?:[^"\\]|\\.)*")\)$/.exec(target.call)?.[1];
  const cells = panel.content.widgets;
  return (
    !!target &&
    !!name &&
    isJson(name) &&
    cells.length === 1 &&
    cells[0].model.sharedModel.getSource() === paneSource(target)
  );
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Run the pane unless its kernel already has the federation: after a reload the workbench is still there, and live. */
async function runIfFresh(panel: NotebookPanel): Promise<void> {
  const kernel = panel.sessionContext.session?.kernel;
  if (!kernel) {
    return;
  }
  await kernel.info;
  const asked = kernel.requestExecute({
    code: '',
    silent: true,
    store_history: false,
    user_expressions: { there: "'federation' in globals()" }
  });
  const reply = await asked.done;
  const content = reply.content as { user_expressions?: { there?: { data?: Record<string, string> } } };
  if (content.user_expressions?.there?.data?.['text/plain'] === 'True') {
    return;
  }
  await runWorkbench(panel);
  await panel.context.save(); // so that a reload finds the output, and with it the live workbench
}
