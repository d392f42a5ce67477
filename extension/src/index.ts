import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import type { IDisposable } from '@lumino/disposable';

import { FederationsApi } from './api';
import { addCommands } from './commands';
import { dragFrom } from './dragging';
import { addLauncher } from './launching';
import { FederationsModel } from './model';
import { Options } from './options';
import { FederationsPanel } from './panel';
import { keepPanesRunning } from './panes';
import { StatusItem } from './statusbar';
import { CATEGORY, CommandIDs, PANEL_ID, PLUGIN_ID } from './tokens';
import { PanelView } from './view';
import { messageOf } from './words';

/** Below JupyterLab's own panels on the left. */
const RANK = 610;

const plugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN_ID,
  description: 'Federations in a side panel, and notebooks with a federated inference workbench.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ICommandPalette, ILauncher, ISettingRegistry, IDefaultFileBrowser, IStatusBar, ILayoutRestorer],
  activate: (
    app: JupyterFrontEnd,
    notebooks: INotebookTracker,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    registry: ISettingRegistry | null,
    browser: IDefaultFileBrowser | null,
    statusBar: IStatusBar | null,
    restorer: ILayoutRestorer | null
  ): void => {
    const options = new Options();
    const view = new PanelView();
    const model = new FederationsModel(new FederationsApi(app.serviceManager.serverSettings), options.values.pollSeconds);
    const cwd = (): string => browser?.model.path ?? '';
    const complain = (error: unknown): void => {
      console.error(error);
      Notification.error(messageOf(error), { autoClose: false });
    };
    addLauncher(app, notebooks, palette, launcher, options, cwd);
    addCommands({ app, notebooks, model, view, cwd });
    for (const command of Object.values(CommandIDs).filter(id => id !== CommandIDs.newWorkbench)) {
      palette?.addItem({ command, category: CATEGORY, args: { isPalette: true } });
    }
    keepPanesRunning(notebooks, complain);

    const panel = new FederationsPanel({
      model,
      options,
      view,
      run: (command, args) => app.commands.execute(command, { ...args, inPanel: true }),
      onDrag: (event, target) => dragFrom(event, target, notebooks)
    });
    // Before the settings are there: what JupyterLab restores is added at once, or it is not restored.
    app.shell.add(panel, 'left', { rank: RANK });
    restorer?.add(panel, PANEL_ID);
    let isShown = true;

    let statusItem: IDisposable | undefined;
    const follow = (): void => {
      const { pollSeconds, showPanel, showStatusBar } = options.values;
      model.pollSeconds = pollSeconds;
      if (showPanel && !isShown) {
        app.shell.add(panel, 'left', { rank: RANK });
      } else if (!showPanel && isShown) {
        panel.parent = null;
      }
      isShown = showPanel;
      if (!showStatusBar) {
        statusItem?.dispose();
        statusItem = undefined;
      } else if (statusBar && !statusItem) {
        const item = new StatusItem(model, () => void app.commands.execute(CommandIDs.showPanel));
        statusItem = statusBar.registerStatusItem('fi-workbench:federations', { item, align: 'left', rank: 90 });
      }
    };
    options.changed.connect(follow);
    follow();
    registry?.load(PLUGIN_ID).then(settings => options.follow(settings), complain);
  }
};

export default plugin;
