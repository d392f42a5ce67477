import type { IFederation, IParty } from './api';
import type { Link } from './model';

/** What the panel says, as plain functions. */

export function headline(federation: IFederation): string {
  const { state, task, n_online, n_parties, n_waiting } = federation;
  if (state === 'preparing') {
    return task ? `${task.task} ${task.total ? `${task.done} of ${task.total}` : ''}`.trim() : 'starting';
  }
  if (state !== 'up') {
    return { lost: 'no answer', stopping: 'stopping', failed: 'failed' }[state];
  }
  const waiting = n_waiting ? `${n_waiting} waiting` : '';
  return [n_parties ? `${n_online} of ${n_parties} online` : '', waiting].filter(Boolean).join(', ') || 'no parties yet';
}

/** The settings and the pace in one line, or nothing while there is nothing to say. */
export function facts(federation: IFederation): string[] {
  if (federation.state !== 'up') {
    return [];
  }
  const { about, rounds, rounds_per_second } = federation;
  const said = [about.rule, about.mechanism].filter((word): word is string => typeof word === 'string' && word !== '');
  const words = said.map(word => word.replace(/_/g, ' '));
  if (rounds) {
    words.push(`round ${rounds}`, rate(rounds_per_second));
  }
  if (typeof about.budget_micro === 'number') {
    const units = about.budget_micro / 1e6;
    words.push(`${number(units)} ${units === 1 ? 'unit' : 'units'} a round`);
  }
  return words;
}

export function rate(perSecond: number): string {
  return `${number(perSecond)} rounds/s`;
}

/** Three significant digits, and none that say nothing. */
export function number(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en-US') : `${Number(value.toPrecision(3))}`;
}

export function partyState(party: IParty): string {
  const since = new Date(1000 * party.since).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  switch (party.state) {
    case 'online':
      return 'online';
    case 'offline':
      return `offline since ${since}`;
    case 'waiting':
      return 'waiting';
    case 'refused':
      return `refused: ${party.reason || 'no reason given'}`;
    case 'expelled':
      return `expelled ${since}`;
  }
}

export const LINK: Record<Exclude<Link, 'live'>, string> = {
  loading: 'Looking for federations…',
  lost: 'The Jupyter server does not answer. It is asked again every few seconds; what you see is how it was.',
  missing:
    'This Jupyter server has no federations side. Restart it, and if that does not help run ' +
    '“jupyter server extension enable fi_workbench.lab”.',
  'signed-out': 'The Jupyter server no longer knows you. Reload this page and sign in.'
};

/** What somebody should know before others can reach an address; nothing where only this machine can. */
export function addressWarning(address: string): string {
  const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  if (!host || host === 'localhost' || host === '::1' || /^127\./.test(host)) {
    return '';
  }
  return 'Others on the network can reach this address. They still need an invitation of yours to join.';
}

export function isAddress(text: string): boolean {
  const found = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})$/.exec(text);
  return found !== null && Number(found[2]) <= 65535;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : `${error}`;
}
