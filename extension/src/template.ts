import type * as nbformat from '@jupyterlab/nbformat';

import { connectionCode, type ITarget } from './code';

/** Where a notebook's metadata says that it is the pane of a federation. */
export const PANE_KEY = 'fi_workbench';

/** What a person may choose about a new workbench. */
export interface IWorkbenchOptions {
  /** Data set of the demo federation, by its name in `fi_workbench.datasets`. */
  dataset: string;
  /** Number of parties. */
  parties: number;
  /** Whether the cells run as soon as the kernel is ready. */
  runOnOpen: boolean;
}

/** What `Federation.demo()` chooses itself, and what holds where no settings are at hand. */
export const DEFAULT_OPTIONS: IWorkbenchOptions = { dataset: 'digits', parties: 5, runOnOpen: true };

/** The Python call that makes the demo federation and shows its progress, naming only what differs from the defaults. */
export function demoCall(options: IWorkbenchOptions): string {
  const args: string[] = [];
  if (options.dataset !== DEFAULT_OPTIONS.dataset) {
    args.push(`dataset=${JSON.stringify(options.dataset)}`);
  }
  if (options.parties !== DEFAULT_OPTIONS.parties) {
    args.push(`n_parties=${options.parties}`);
  }
  args.push('on_progress=fi.ProgressBar()');
  return `fi.Federation.demo(${args.join(', ')})`;
}

/** The notebook that a new workbench starts from. */
export function workbenchNotebook(
  options: IWorkbenchOptions,
  kernelName: string,
  kernelTitle: string
): nbformat.INotebookContent {
  return {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: {
      kernelspec: { name: kernelName, display_name: kernelTitle, language: 'python' },
      language_info: { name: 'python' }
    },
    cells: [
      markdown(
        'title',
        '# Federated inference workbench\n\n' +
          'Several parties, each with a model of its own, answer the same queries together. ' +
          'Run the cells, then change the settings beside the pictures.'
      ),
      code('import', 'import fi_workbench as fi'),
      code('federation', `federation = ${demoCall(options)}`),
      code('workbench', 'fi.Workbench(federation)')
    ]
  };
}

export function paneSource(target: ITarget): string {
  return `${connectionCode(target, [])}\nfi.Workbench(federation)`;
}

/** A notebook that is all workbench: one cell that connects and shows it, its code folded away. */
export function paneNotebook(target: ITarget, kernelName: string, kernelTitle: string): nbformat.INotebookContent {
  const cell = code('workbench', paneSource(target));
  return {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: {
      kernelspec: { name: kernelName, display_name: kernelTitle, language: 'python' },
      language_info: { name: 'python' },
      [PANE_KEY]: { title: target.title, call: target.call }
    },
    cells: [{ ...cell, metadata: { jupyter: { source_hidden: true } } }]
  };
}

function markdown(id: string, source: string): nbformat.IMarkdownCell {
  return { id, cell_type: 'markdown', metadata: {}, source };
}

function code(id: string, source: string): nbformat.ICodeCell {
  return { id, cell_type: 'code', metadata: {}, source, execution_count: null, outputs: [] };
}
