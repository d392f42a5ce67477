import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';

import { federationIcon } from './icon';
import { DEFAULT_OPTIONS, type IWorkbenchOptions } from './template';
import { openWorkbench, runWorkbench, WorkbenchError } from './workbench';

const PLUGIN_ID = 'fi-workbench:plugin';
const CATEGORY = 'Federated inference';

namespace CommandIDs {
  export const newWorkbench = 'fi-workbench:new-workbench';
}

const plugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN_ID,
  description: 'Opens a notebook with a federated inference workbench, from launcher, palette and menu.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ICommandPalette, ILauncher, ISettingRegistry, IDefaultFileBrowser],
  activate: (
    app: JupyterFrontEnd,
    notebooks: INotebookTracker,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    settings: ISettingRegistry | null,
    browser: IDefaultFileBrowser | null
  ): void => {
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
          const options = { ...(await workbenchOptions(settings)), ...givenOptions(args) };
          const cwd = typeof args.cwd === 'string' ? args.cwd : browser?.model.path ?? '';
          const panel = await openWorkbench(app, notebooks, cwd, options);
          if (options.runOnOpen) {
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
};

async function workbenchOptions(settings: ISettingRegistry | null): Promise<IWorkbenchOptions> {
  const chosen = settings ? (await settings.load(PLUGIN_ID)).composite : {};
  return { ...DEFAULT_OPTIONS, ...givenOptions(chosen) };
}

/** The options among `values` that have the right type; whatever else a caller passes is not for the notebook. */
function givenOptions(values: Readonly<Record<string, unknown>>): Partial<IWorkbenchOptions> {
  const { dataset, parties, runOnOpen } = values;
  return {
    ...(typeof dataset === 'string' && { dataset }),
    ...(Number.isInteger(parties) && { parties: parties as number }),
    ...(typeof runOnOpen === 'boolean' && { runOnOpen })
  };
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

export default plugin;
