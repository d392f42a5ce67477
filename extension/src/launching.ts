import type { JupyterFrontEnd } from '@jupyterlab/application';
import { type ICommandPalette, Notification } from '@jupyterlab/apputils';
import type { ILauncher } from '@jupyterlab/launcher';
import type { INotebookTracker } from '@jupyterlab/notebook';

import { federationIcon } from './icon';
import { type Options, sound } from './options';
import { CATEGORY, CommandIDs, WorkbenchError } from './tokens';
import { openWorkbench, runWorkbench } from './workbench';

/** The command that opens a new notebook with a workbench, its card and its entry in the palette. */
export function addLauncher(
  app: JupyterFrontEnd,
  notebooks: INotebookTracker,
  palette: ICommandPalette | null,
  launcher: ILauncher | null,
  options: Options,
  cwd: () => string
): void {
  const command = CommandIDs.newWorkbench;
  app.commands.addCommand(command, {
    label: args => (args.isLauncher ? 'Federated workbench' : 'New federated workbench'),
    caption: 'Open a notebook in which several private models answer together',
    icon: args => (args.isPalette ? undefined : federationIcon),
    describedBy: {
      args: {
        type: 'object',
        properties: {
          cwd: { type: 'string', description: 'Folder of the new notebook' },
          dataset: { type: 'string', description: 'Data set; the setting if not given' },
          parties: { type: 'integer', minimum: 1, description: 'Number of parties; the setting if not given' },
          runOnOpen: { type: 'boolean', description: 'Whether to run the cells; the setting if not given' }
        }
      }
    },
    execute: async args => {
      try {
        const { dataset, parties, runOnOpen } = { ...options.values, ...sound(args) };
        const folder = typeof args.cwd === 'string' ? args.cwd : cwd();
        const panel = await openWorkbench(app, notebooks, folder, { dataset, parties, runOnOpen });
        if (runOnOpen) {
          // Not awaited: the launcher gives way as soon as the notebook is there, not when its cells have run.
          runWorkbench(panel).catch(notify);
        }
        return panel;
      } catch (error) {
        notify(error);
        return null;
      }
    }
  });
  palette?.addItem({ command, category: CATEGORY, args: { isPalette: true } });
  launcher?.add({ command, category: CATEGORY, args: { isLauncher: true }, rank: 1 });
}

function notify(error: unknown): void {
  // A notification is cut after 140 characters: what to do comes before why.
  const message =
    error instanceof WorkbenchError
      ? error.message
      : 'No workbench opened. Choose a folder that you can write to and try again. ' +
        `(${error instanceof Error ? error.message : error})`;
  console.error(error);
  Notification.error(message, { autoClose: false });
}
