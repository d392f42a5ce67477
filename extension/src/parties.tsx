import * as React from 'react';

import type { IFederation, IParty } from './api';
import { partyState } from './words';

interface IPartiesProps {
  federation: IFederation;
  onApprove: (name: string) => unknown;
  onExpel: (name: string) => unknown;
  onInvite: () => unknown;
}

/** Each party with its colour and state. */
export function Parties(props: IPartiesProps): JSX.Element | null {
  const { federation } = props;
  if (!federation.parties.length) {
    return federation.state === 'up' ? (
      <p className="fi-Hint">
        Nobody has joined yet.{' '}
        <button type="button" className="fi-Link" onClick={() => void props.onInvite()}>
          Invite a party
        </button>
      </p>
    ) : null;
  }
  const waiting = federation.parties.filter(party => party.state === 'waiting');
  const approveAll = async (): Promise<void> => {
    for (const party of waiting) {
      if ((await props.onApprove(party.name)) === false) {
        return; // the first that fails is said, and not talked over by the next
      }
    }
  };
  return (
    <>
      {waiting.length > 1 && federation.state === 'up' && (
        <p className="fi-Hint fi-Waiting">
          {waiting.length} wait for your approval{' '}
          <button type="button" className="fi-Link" data-testid="fi-approve-all" onClick={() => void approveAll()}>
            Approve all
          </button>
        </p>
      )}
      <ul className="fi-Parties" aria-label={`Parties of ${federation.name}`}>
        {federation.parties.map(party => (
          <PartyRow key={party.key || party.name} party={party} live={federation.state === 'up'} {...props} />
        ))}
      </ul>
      {federation.n_unlisted > 0 && <p className="fi-Hint">and {federation.n_unlisted} more</p>}
    </>
  );
}

function PartyRow(props: IPartiesProps & { party: IParty; live: boolean }): JSX.Element {
  const { party, live } = props;
  const { name, number, state, model, address } = party;
  const button = (word: string, label: string, act: () => unknown): JSX.Element => (
    <button type="button" className="fi-Link" aria-label={label} title={label} disabled={!live} onClick={() => void act()}>
      {word}
    </button>
  );
  const takesPart = state === 'online' || state === 'offline';
  const about = [name, model.replace(/_/g, ' '), party.reason, address && `from ${address}`, party.key && `key ${party.key.slice(0, 16)}…`];
  return (
    <li className="fi-Party" data-testid="fi-party" data-name={name} data-state={state} title={about.filter(Boolean).join('\n')}>
      <span
        className="fi-Swatch"
        data-hatched={number >= 8 || undefined}
        style={{ '--fi-swatch': `var(--fi-party-${number % 8})` } as React.CSSProperties}
        aria-hidden="true"
      />
      <span className="fi-Party-name">{name}</span>
      <span className="fi-Party-model">{model.replace(/_/g, ' ')}</span>
      <span className="fi-Party-state">{partyState(party)}</span>
      <span className="fi-Party-buttons">
        {(state === 'waiting' || state === 'expelled') &&
          button(state === 'waiting' ? 'Approve' : 'Readmit', `Let ${name} take part`, () => props.onApprove(name))}
        {(state === 'waiting' || takesPart) &&
          button(takesPart ? 'Expel' : 'Reject', `Let ${name} take part no longer`, () => props.onExpel(name))}
      </span>
    </li>
  );
}
