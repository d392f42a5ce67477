import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Clipboard, Dialog, InputDialog, Notification, showDialog } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import { addIcon, codeIcon, copyIcon, linkIcon, listIcon, stopIcon, tabIcon, usersIcon } from '@jupyterlab/ui-components';
import type { ReadonlyJSONObject, ReadonlyPartialJSONObject } from '@lumino/coreutils';

import type { IFederation, INewFederation } from './api';
import { attachTarget, codeFor, insertCode, type ITarget, superLinkTarget } from './code';
import { federationIcon } from './icon';
import type { FederationsModel } from './model';
import { openPane } from './panes';
import { CommandIDs, PANEL_ID, WorkbenchError } from './tokens';
import type { PanelView } from './view';
import { isAddress, messageOf } from './words';

type Args = ReadonlyPartialJSONObject;

export interface IContext {
  app: JupyterFrontEnd;
  notebooks: INotebookTracker;
  model: FederationsModel;
  view: PanelView;
  /** The folder in which the file browser is. */
  cwd: () => string;
}

/**
 * Every act is a command: buttons, menus, palette and toolbar run the same. Without `id` it is the federation under the
 * pointer, the only one, or one that is asked for. From the panel (`inPanel`) an error is thrown, to be shown in place.
 */
export function addCommands(context: IContext): void {
  const { app, notebooks, model, view } = context;
  const { commands, shell } = app;
  const add = (
    id: string,
    label: string,
    icon: typeof addIcon,
    execute: (args: Args) => Promise<unknown>,
    caption = label,
    onEntry = label
  ): void => {
    commands.addCommand(id, {
      label: args => (args.toolbar ? '' : args.isContextMenu ? onEntry : label),
      caption,
      icon: args => (args.isPalette ? undefined : icon),
      describedBy: { args: ARGUMENTS[id] ?? { type: 'object', properties: {} } },
      execute: async args => {
        try {
          return await execute(args);
        } catch (error) {
          if (args.inPanel) {
            throw error;
          }
          console.error(error);
          Notification.error(messageOf(error), { autoClose: false });
          return null;
        }
      }
    });
  };
  const show = (): void => shell.activateById(PANEL_ID);
  const form = (kind: 'start' | 'host' | 'connect') => async (args: Args) => {
    const asked = newFederation(args);
    if (asked) {
      return (await model.api.start(asked)).id;
    }
    view.show(kind);
    show();
    return null;
  };
  const target = async (args: Args, verb: string): Promise<ITarget | null> => {
    if (typeof args.address === 'string' && isAddress(args.address)) {
      return superLinkTarget(args.address);
    }
    const federation = await chosen(context, args, verb);
    return federation && attachTarget(federation.name);
  };

  add(CommandIDs.showPanel, 'Show federations', federationIcon, async () => show());
  add(CommandIDs.start, 'Start a federation…', addIcon, form('start'), 'Start demo parties on this machine');
  add(CommandIDs.host, 'Host a federation…', usersIcon, form('host'), 'Host a federation that others join');
  add(CommandIDs.connect, 'Connect to a SuperLink…', linkIcon, form('connect'), 'Remember a SuperLink for notebooks');
  add(
    CommandIDs.insertCode,
    'Insert federation code',
    codeIcon,
    async args => {
      const found = await target(args, 'Insert code for');
      if (found) {
        const panel = await insertCode(notebooks, found);
        shell.activateById(panel.id);
      }
    },
    'Insert the code that attaches this notebook to a federation',
    'Insert code into the notebook'
  );
  add(
    CommandIDs.copyCode,
    'Copy federation code',
    copyIcon,
    async args => {
      const found = await target(args, 'Copy code for');
      if (found) {
        Clipboard.copyToSystem(codeFor(found, notebooks.currentWidget));
      }
    },
    'Copy the code that attaches a notebook to a federation',
    'Copy code'
  );
  add(
    CommandIDs.openWorkbench,
    'Open a federation’s workbench',
    tabIcon,
    async args => {
      const found = await target(args, 'Open the workbench of');
      return found && (await openPane(app, notebooks, found, context.cwd())).id;
    },
    'Open the workbench of a federation beside the notebook',
    'Open the workbench'
  );
  add(CommandIDs.invite, 'Invite a party', usersIcon, async args => {
    const federation = await chosen(context, args, 'Invite a party to');
    if (federation) {
      view.open(federation.id, { kind: 'invite', commands: await model.api.invite(federation.id, 1) });
      show();
    }
  });
  add(CommandIDs.scale, 'Change the number of demo parties…', addIcon, async args => {
    const federation = await chosen(context, args, 'Change the parties of', one => one.scale !== null);
    const parties = typeof args.parties === 'number' ? args.parties : federation && (await askedNumber(federation));
    if (federation && parties !== null) {
      await model.api.scale(federation.id, parties);
    }
  });
  add(
    CommandIDs.stop,
    'Stop a federation',
    stopIcon,
    async args => {
      const federation = await chosen(context, args, 'Stop');
      if (federation && (args.sure || (await isSure(federation)))) {
        await model.api.stop(federation.id);
        view.open(federation.id, null);
      }
    },
    'End a federation',
    'Stop'
  );
  add(CommandIDs.showLog, 'Show a federation’s log', listIcon, async args => {
    const federation = await chosen(context, args, 'Show the log of', one => one.has_log);
    if (federation) {
      view.open(federation.id, { kind: 'log' });
      show();
    }
  });
}

const ID = { type: 'string', description: 'Id of the federation in the panel; asked for if not given' };
const ADDRESS = { type: 'string', description: 'HOST:PORT' };
const ARGUMENTS: Readonly<Record<string, ReadonlyJSONObject>> = {
  [CommandIDs.start]: {
    type: 'object',
    properties: {
      name: { type: 'string' },
      parties: { type: 'integer', minimum: 1, description: 'Number of demo parties; a form opens if not given' },
      dataset: { type: 'string' },
      model: { type: 'string' },
      alpha: { type: 'number' }
    }
  },
  [CommandIDs.host]: { type: 'object', properties: { name: { type: 'string' }, address: ADDRESS } },
  [CommandIDs.insertCode]: { type: 'object', properties: { id: ID, address: ADDRESS } },
  [CommandIDs.copyCode]: { type: 'object', properties: { id: ID, address: ADDRESS } },
  [CommandIDs.openWorkbench]: { type: 'object', properties: { id: ID, address: ADDRESS } },
  [CommandIDs.invite]: { type: 'object', properties: { id: ID } },
  [CommandIDs.scale]: { type: 'object', properties: { id: ID, parties: { type: 'integer', minimum: 1 } } },
  [CommandIDs.stop]: { type: 'object', properties: { id: ID, sure: { type: 'boolean' } } },
  [CommandIDs.showLog]: { type: 'object', properties: { id: ID } }
};

/** The federation that is asked to be started, if the arguments say one; otherwise a form asks. */
function newFederation(args: Args): INewFederation | null {
  const asked: Record<string, unknown> = {};
  for (const [name, type] of Object.entries({ parties: 'number', alpha: 'number', name: 'string', address: 'string',
    dataset: 'string', model: 'string' })) {
    if (typeof args[name] === type && args[name] !== '') {
      asked[name] = args[name];
    }
  }
  return 'parties' in asked || 'address' in asked ? asked : null;
}

async function chosen(
  context: IContext,
  args: Args,
  verb: string,
  fits: (federation: IFederation) => boolean = () => true
): Promise<IFederation | null> {
  const { model, app } = context;
  if (typeof args.id === 'string') {
    const found = model.find(args.id);
    if (!found) {
      throw new WorkbenchError('That federation has ended. Choose another in the panel “Federations”.');
    }
    return found;
  }
  const under = args.isContextMenu
    ? app.contextMenuHitTest(node => !!node.dataset.id && node.classList.contains('fi-Entry'))
    : undefined;
  const clicked = under && model.find(under.dataset.id);
  if (clicked) {
    return clicked;
  }
  const fitting = model.federations.filter(federation => fits(federation));
  if (!fitting.length) {
    throw new WorkbenchError(
      model.federations.length
        ? 'No federation here can do that. What each can do is in the panel “Federations”.'
        : 'No federation runs on this machine. Start one in the panel “Federations”.'
    );
  }
  if (fitting.length === 1) {
    return fitting[0];
  }
  const titles = fitting.map(({ name, state }) => (state === 'up' ? name : `${name} (${state})`));
  const { value } = await InputDialog.getItem({ title: `${verb} which federation?`, items: titles });
  return value === null ? null : fitting[titles.indexOf(value)] ?? null;
}

async function askedNumber(federation: IFederation): Promise<number | null> {
  const { value } = await InputDialog.getNumber({
    title: `Parties of ${federation.name}`,
    value: federation.scale ?? 1
  });
  return value;
}

/** Stopping demo parties loses nothing; where others are connected, it is asked first. */
async function isSure({ name, scale, state, n_online }: IFederation): Promise<boolean> {
  if (scale !== null || state !== 'up' || !n_online) {
    return true;
  }
  const one = n_online === 1;
  const who = one ? 'One party is' : `${n_online} parties are`;
  const later = one ? 'It stays enrolled, and comes' : 'They stay enrolled, and come';
  const { button } = await showDialog({
    title: `Stop ${name}?`,
    body: `${who} connected. ${later} back when ${name} is hosted again at the same address.`,
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'Stop' })]
  });
  return button.accept;
}
