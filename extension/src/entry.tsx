import {
  caretDownEmptyThinIcon,
  caretRightIcon,
  codeIcon,
  listIcon,
  stopIcon,
  tabIcon,
  usersIcon,
  closeIcon,
  type LabIcon
} from '@jupyterlab/ui-components';
import * as React from 'react';

import type { FederationsApi, IFederation } from './api';
import { attachTarget, type ITarget } from './code';
import { Copyable, IconButton, Problem, useAttempt } from './controls';
import { Parties } from './parties';
import { CommandIDs, MAX_INVITATIONS, MAX_PARTIES } from './tokens';
import type { Box, PanelView } from './view';
import { facts, headline } from './words';

export interface IEntryProps {
  federation: IFederation;
  api: FederationsApi;
  view: PanelView;
  run: (command: string, args: Record<string, string | number | boolean>) => Promise<unknown>;
  onDrag: (event: React.MouseEvent, target: ITarget) => void;
}

const STATES: Record<IFederation['state'], string> = {
  preparing: 'preparing',
  up: 'running',
  lost: 'not answering',
  stopping: 'stopping',
  failed: 'failed'
};

/** One federation: its head can be dragged into a notebook, everything else is a button. */
export function Entry(props: IEntryProps): JSX.Element {
  const { federation, view, api } = props;
  const { id, name, state } = federation;
  const folded = view.isFolded(id);
  const { problem, busy, attempt, clear } = useAttempt();
  const Caret = folded ? caretRightIcon : caretDownEmptyThinIcon;
  const body = `fi-entry-${id}`;
  const act = (command: string, args: Record<string, string | number> = {}): Promise<boolean> =>
    attempt(() => props.run(command, { id, ...args }));
  const action = (icon: LabIcon, label: string, command: string, needsUp = true): JSX.Element => (
    <IconButton
      icon={icon}
      label={label}
      testid={command}
      disabled={needsUp && state !== 'up'}
      onClick={() => act(command)}
    />
  );
  return (
    <li className="fi-Entry" data-id={id} data-name={name} data-state={state} data-testid="fi-federation">
      <div
        className="fi-Entry-head"
        title={state === 'up' ? 'Drag into a notebook to insert the code that attaches to it' : federation.reason}
        onMouseDown={event => state === 'up' && props.onDrag(event, attachTarget(name))}
      >
        <button
          type="button"
          className="fi-Entry-fold"
          aria-expanded={!folded}
          aria-controls={body}
          onClick={() => view.fold(id, !folded)}
        >
          <Caret.react tag="span" elementSize="small" aria-hidden="true" />
          <span className="fi-Dot" data-state={state} role="img" aria-label={STATES[state]} />
          <span className="fi-Entry-name">{name}</span>
        </button>
        <span className="fi-Entry-count" data-testid="fi-count">
          {headline(federation)}
        </span>
      </div>
      <div id={body} hidden={folded}>
        <p className="fi-Facts" data-testid="fi-facts">
          {facts(federation).map(fact => (
            <span key={fact}>{fact}</span>
          ))}
          {federation.by !== 'panel' && <span>{federation.by === 'kernel' ? 'hosted by a notebook' : 'hosted in a terminal'}</span>}
        </p>
        {state === 'preparing' && (
          <progress
            aria-label={`${name}: ${headline(federation)}`}
            {...(federation.task?.total ? { value: federation.task.done, max: federation.task.total } : {})}
          />
        )}
        <div className="fi-Actions" role="toolbar" aria-label={`${name}: actions`}>
          {action(codeIcon, 'Insert code into the notebook', CommandIDs.insertCode)}
          {action(tabIcon, 'Open the workbench', CommandIDs.openWorkbench)}
          {action(usersIcon, 'Invite a party', CommandIDs.invite)}
          {federation.has_log && (
            <IconButton
              icon={listIcon}
              label="Log"
              testid={CommandIDs.showLog}
              pressed={view.box(id)?.kind === 'log'}
              onClick={() => view.open(id, view.box(id)?.kind === 'log' ? null : { kind: 'log' })}
            />
          )}
          {federation.scale !== null && state === 'up' && (
            <Scale n={federation.scale} busy={busy} onChange={parties => act(CommandIDs.scale, { parties })} />
          )}
          <span className="fi-Spacer" />
          {state === 'failed'
            ? action(closeIcon, 'Remove from the list', CommandIDs.stop, false)
            : action(stopIcon, 'Stop', CommandIDs.stop, false)}
        </div>
        {(state === 'failed' || state === 'lost') && <Problem text={federation.reason} />}
        <Problem text={problem} onClose={clear} />
        <BoxBelow box={view.box(id)} federation={federation} api={api} onOpen={box => view.open(id, box)} />
        <Parties
          federation={federation}
          onApprove={party => attempt(() => api.approve(id, party))}
          onExpel={party => attempt(() => api.expel(id, party))}
          onInvite={() => act(CommandIDs.invite)}
        />
      </div>
    </li>
  );
}

/** How many demo parties: one fewer, one more. */
function Scale(props: { n: number; busy: boolean; onChange: (n: number) => unknown }): JSX.Element {
  const step = (by: number, sign: string, label: string): JSX.Element => (
    <button
      type="button"
      className="fi-Button fi-Scale-step"
      data-testid={by > 0 ? 'fi-more' : 'fi-fewer'}
      aria-label={label}
      title={label}
      disabled={props.busy || props.n + by < 1 || props.n + by > MAX_PARTIES}
      onClick={() => void props.onChange(props.n + by)}
    >
      {sign}
    </button>
  );
  return (
    <span className="fi-Scale" role="group" aria-label="Number of parties">
      {step(-1, '−', 'One party fewer')}
      <output>{props.n}</output>
      {step(1, '+', 'One party more')}
    </span>
  );
}

interface IBoxProps {
  box: Box | null;
  federation: IFederation;
  api: FederationsApi;
  onOpen: (box: Box | null) => void;
}

function BoxBelow(props: IBoxProps): JSX.Element | null {
  const { box } = props;
  if (!box) {
    return null;
  }
  return (
    <section className="fi-Box" data-testid={`fi-${box.kind}`}>
      <header>
        <strong>{box.kind === 'log' ? 'Log' : box.commands.length > 1 ? `${box.commands.length} invitations` : 'Invitation'}</strong>
        <button type="button" className="fi-Link" onClick={() => props.onOpen(null)}>
          Close
        </button>
      </header>
      {box.kind === 'log' ? (
        <Log federation={props.federation} api={props.api} />
      ) : (
        <>
          <Copyable key={box.commands[0]} text={box.commands.join('\n')} label="Command that joins" />
          <small>Each is for one party, once, within an hour. Send it over a channel that you trust.</small>
          <InviteMore federation={props.federation} api={props.api} onOpen={props.onOpen} />
        </>
      )}
    </section>
  );
}

/** Invitations for a whole class, in place of those shown. */
function InviteMore(props: Omit<IBoxProps, 'box'>): JSX.Element {
  const [n, setN] = React.useState('30');
  const { problem, busy, attempt } = useAttempt();
  const fits = Number.isInteger(Number(n)) && Number(n) >= 1 && Number(n) <= MAX_INVITATIONS;
  const make = async (event: React.FormEvent): Promise<void> => {
    event.preventDefault();
    await attempt(async () =>
      props.onOpen({ kind: 'invite', commands: await props.api.invite(props.federation.id, Number(n)) })
    );
  };
  return (
    <form className="fi-More" onSubmit={event => void make(event)}>
      <label>
        For{' '}
        <input
          type="number"
          min={1}
          max={MAX_INVITATIONS}
          value={n}
          data-testid="fi-invitations"
          onChange={event => setN(event.target.value)}
        />{' '}
        parties
      </label>
      <button type="submit" className="fi-Link" disabled={busy || !fits}>
        Make new ones
      </button>
      <Problem text={problem} />
    </form>
  );
}

/** The last lines of its process, newest at the bottom and in sight. */
function Log(props: { federation: IFederation; api: FederationsApi }): JSX.Element {
  const { federation, api } = props;
  const [lines, setLines] = React.useState<string[]>([]);
  const { problem, attempt } = useAttempt();
  const end = React.useRef<HTMLPreElement>(null);
  React.useEffect(() => {
    void attempt(async () => setLines(await api.log(federation.id)));
  }, [federation]);
  React.useEffect(() => {
    end.current?.scrollTo(0, end.current.scrollHeight);
  }, [lines]);
  return (
    <>
      <pre ref={end} className="fi-Log" tabIndex={0} aria-label={`Log of ${federation.name}`}>
        {lines.join('\n') || 'Nothing was written yet.'}
      </pre>
      <Problem text={problem} />
    </>
  );
}
