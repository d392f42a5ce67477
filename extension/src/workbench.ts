import type { JupyterFrontEnd } from '@jupyterlab/application';
import { type INotebookTracker, NotebookActions, type NotebookPanel } from '@jupyterlab/notebook';
import type { KernelSpec } from '@jupyterlab/services';

import { type IWorkbenchOptions, workbenchNotebook } from './template';
import { WorkbenchError } from './tokens';

/** Write a new untitled notebook into the folder `cwd` and open it; no dialog asks for a kernel. */
export async function openWorkbench(
  app: JupyterFrontEnd,
  notebooks: INotebookTracker,
  cwd: string,
  options: IWorkbenchOptions
): Promise<NotebookPanel> {
  const { contents, kernelspecs } = app.serviceManager;
  const kernel = await pythonKernel(kernelspecs);
  const file = await contents.newUntitled({ path: cwd, type: 'notebook' });
  await contents.save(file.path, {
    type: 'notebook',
    format: 'json',
    content: workbenchNotebook(options, kernel.name, kernel.display_name)
  });
  await app.commands.execute('docmanager:open', {
    path: file.path,
    factory: 'Notebook',
    kernel: { name: kernel.name }
  });
  const panel = notebooks.find(candidate => candidate.context.path === file.path);
  if (!panel) {
    throw new WorkbenchError(`${file.path} was written but did not open. Open it from the file browser.`);
  }
  await panel.context.ready;
  return panel;
}

/** Run every cell once the kernel answers: a cell that is run before that is lost in silence. */
export async function runWorkbench(panel: NotebookPanel): Promise<void> {
  await panel.sessionContext.ready;
  const kernel = panel.sessionContext.session?.kernel;
  if (!kernel) {
    throw new WorkbenchError(
      "No kernel started. Choose one by its name at the notebook's top right, then run all cells."
    );
  }
  await kernel.info;
  await NotebookActions.runAll(panel.content, panel.sessionContext);
}

/** The kernel that a notebook of ours starts. */
export async function pythonKernel(manager: KernelSpec.IManager): Promise<KernelSpec.ISpecModel> {
  await manager.ready;
  const known = Object.values(manager.specs?.kernelspecs ?? {});
  const found =
    known.find(spec => spec?.name === 'python3') ?? known.find(spec => spec?.language.toLowerCase() === 'python');
  if (!found) {
    throw new WorkbenchError(
      'No Python kernel is installed. Run "pip install ipykernel" beside JupyterLab, then reload this page.'
    );
  }
  return found;
}
