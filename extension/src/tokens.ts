/** Names that several files, the schema and tests share. */

export const PLUGIN_ID = 'fi-workbench:plugin';
export const PANEL_ID = 'fi-workbench-federations';
/** As many demo parties one process runs (`MOST_DEMO_PARTIES` of the host). */
export const MAX_PARTIES = 50;
/** As many invitations the server makes at once (`MAX_INVITES`). */
export const MAX_INVITATIONS = 100;

export const CATEGORY = 'Federated inference';

export namespace CommandIDs {
  export const newWorkbench = 'fi-workbench:new-workbench';
  export const showPanel = 'fi-workbench:show-federations';
  export const start = 'fi-workbench:start';
  export const host = 'fi-workbench:host';
  export const connect = 'fi-workbench:connect';
  export const insertCode = 'fi-workbench:insert-code';
  export const copyCode = 'fi-workbench:copy-code';
  export const openWorkbench = 'fi-workbench:open-workbench';
  export const invite = 'fi-workbench:invite';
  export const scale = 'fi-workbench:scale';
  export const stop = 'fi-workbench:stop';
  export const showLog = 'fi-workbench:show-log';
}

/** An error whose message says what to do next, so that it can be shown as it is. */
export class WorkbenchError extends Error {}
