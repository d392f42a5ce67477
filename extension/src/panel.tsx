import { addIcon, closeIcon, codeIcon, linkIcon, ReactWidget, tabIcon, usersIcon, UseSignal } from '@jupyterlab/ui-components';
import * as React from 'react';

import { type ITarget, superLinkTarget } from './code';
import { IconButton, Problem, useAttempt } from './controls';
import { Entry, type IEntryProps } from './entry';
import { ConnectForm, HostForm, StartForm } from './forms';
import { federationIcon } from './icon';
import type { FederationsModel } from './model';
import type { Options } from './options';
import { CommandIDs, PANEL_ID } from './tokens';
import type { PanelView } from './view';
import { LINK } from './words';

export interface IPanelProps extends Pick<IEntryProps, 'run' | 'onDrag'> {
  model: FederationsModel;
  options: Options;
  view: PanelView;
}

/** The side panel "Federations". */
export class FederationsPanel extends ReactWidget {
  constructor(private readonly props: IPanelProps) {
    super();
    this.id = PANEL_ID;
    this.addClass('fi-Panel');
    this.title.icon = federationIcon;
    this.title.caption = 'Federations';
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Federations');
  }

  protected override render(): JSX.Element {
    const { model, options, view } = this.props;
    return (
      <UseSignal signal={model.changed}>
        {() => (
          <UseSignal signal={options.changed}>
            {() => <UseSignal signal={view.changed}>{() => <Panel {...this.props} />}</UseSignal>}
          </UseSignal>
        )}
      </UseSignal>
    );
  }
}

function Panel(props: IPanelProps): JSX.Element {
  const { model, options, view, run } = props;
  const { link, federations } = model;
  const superLinks = options.values.superLinks;
  const close = (): void => view.show(null);
  const start = (asked: object): Promise<unknown> => run(CommandIDs.start, { ...asked });
  const nothing = link === 'live' && !federations.length && !superLinks.length && !view.form;
  return (
    <div className="fi-Panel-content" data-testid="fi-panel" data-link={link}>
      <header className="fi-Panel-header">
        <h2>Federations</h2>
        <div role="toolbar" aria-label="New federation" className="fi-Panel-new">
          <FormButton form="start" icon={addIcon} text="Start" label="Start demo parties on this machine" view={view} />
          <FormButton form="host" icon={usersIcon} text="Host" label="Host a federation that others join" view={view} />
          <FormButton form="connect" icon={linkIcon} text="Connect" label="Connect to a SuperLink" view={view} />
        </div>
      </header>
      {link !== 'live' && (
        <p className="fi-Notice" data-link={link} role="status" data-testid="fi-link">
          {LINK[link]}
        </p>
      )}
      {view.form === 'start' && <StartForm options={options} onStart={start} onClose={close} />}
      {view.form === 'host' && <HostForm options={options} onStart={start} onClose={close} />}
      {view.form === 'connect' && (
        <ConnectForm onRemember={address => options.rememberSuperLink(address)} onClose={close} />
      )}
      {nothing && <Empty view={view} />}
      <ul className="fi-List" aria-label="Federations" data-stale={link !== 'live' || undefined}>
        {federations.map(federation => (
          <Entry
            key={federation.id}
            federation={federation}
            api={model.api}
            view={view}
            run={run}
            onDrag={props.onDrag}
          />
        ))}
      </ul>
      {superLinks.length > 0 && (
        <>
          <h3 className="fi-Heading">SuperLinks</h3>
          <ul className="fi-List" aria-label="SuperLinks">
            {superLinks.map(address => (
              <SuperLink key={address} address={address} options={options} run={run} onDrag={props.onDrag} />
            ))}
          </ul>
        </>
      )}
    </div>
  );
}

function FormButton(props: {
  form: 'start' | 'host' | 'connect';
  icon: typeof addIcon;
  text: string;
  label: string;
  view: PanelView;
}): JSX.Element {
  const { form, view } = props;
  const open = view.form === form;
  return <IconButton {...props} testid={`fi-${form}`} pressed={open} onClick={() => view.show(open ? null : form)} />;
}

function Empty(props: { view: PanelView }): JSX.Element {
  return (
    <div className="fi-Empty" data-testid="fi-empty">
      <p>No federation runs on this machine.</p>
      <p>Start one with demo parties, or host one that others join with their own models. Those that a notebook hosts appear here too.</p>
      <button type="button" className="fi-Button fi-mod-text fi-mod-accent" onClick={() => props.view.show('start')}>
        Start a federation
      </button>
    </div>
  );
}

interface ISuperLinkProps extends Pick<IPanelProps, 'options' | 'run' | 'onDrag'> {
  address: string;
}

/** A SuperLink that somebody else runs; nothing is known of it before code connects. */
function SuperLink(props: ISuperLinkProps): JSX.Element {
  const { address, run } = props;
  const { problem, attempt, clear } = useAttempt();
  const target: ITarget = superLinkTarget(address);
  return (
    <li className="fi-Entry" data-superlink={address} data-testid="fi-superlink-entry">
      <div
        className="fi-Entry-head"
        title="Drag into a notebook to insert the code that connects to it"
        onMouseDown={event => props.onDrag(event, target)}
      >
        <span className="fi-Entry-fold">
          <span className="fi-Entry-name">{address}</span>
        </span>
      </div>
      <div className="fi-Actions" role="toolbar" aria-label={`${address}: actions`}>
        <IconButton
          icon={codeIcon}
          label="Insert code into the notebook"
          onClick={() => attempt(() => run(CommandIDs.insertCode, { address }))}
        />
        <IconButton
          icon={tabIcon}
          label="Open the workbench"
          onClick={() => attempt(() => run(CommandIDs.openWorkbench, { address }))}
        />
        <span className="fi-Spacer" />
        <IconButton
          icon={closeIcon}
          label="Forget this SuperLink"
          testid="fi-forget"
          onClick={() => attempt(() => props.options.forgetSuperLink(address))}
        />
      </div>
      <Problem text={problem} onClose={clear} />
    </li>
  );
}
