import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { WorkbenchError } from './tokens';

export interface IParty {
  /** Its place in the federation, from 0: its colour everywhere. */
  number: number;
  key: string;
  name: string;
  state: 'waiting' | 'online' | 'offline' | 'refused' | 'expelled';
  /** Seconds since the epoch. */
  since: number;
  reason: string;
  address: string;
  model: string;
}

export interface IFederation {
  id: string;
  name: string;
  by: 'panel' | 'kernel' | 'cli';
  state: 'preparing' | 'up' | 'lost' | 'stopping' | 'failed';
  reason: string;
  since: number;
  task: { task: string; done: number; total: number } | null;
  has_log: boolean;
  address: string;
  fingerprint: string;
  parties: IParty[];
  n_parties: number;
  n_online: number;
  n_waiting: number;
  n_unlisted: number;
  rounds: number;
  rounds_per_second: number;
  about: Readonly<Record<string, string | number | boolean | null>>;
  scale: number | null;
}

export interface IListing {
  version: string;
  federations: IFederation[];
}

/** What a new federation is asked to be; without `parties` an empty one that others join. */
export interface INewFederation {
  name?: string;
  address?: string;
  parties?: number;
  dataset?: string;
  model?: string;
  alpha?: number;
}

/** An answer that says no; `status` is HTTP's. */
export class RefusedError extends WorkbenchError {
  constructor(
    message: string,
    readonly status: number
  ) {
    super(message);
  }
}

/** The routes of the server extension. */
export class FederationsApi {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  /** The list, as soon as it is at another version than `after`; at the latest after 25 s. */
  list(after: string, signal: AbortSignal): Promise<IListing> {
    return this.ask('GET', [], undefined, signal, after);
  }

  start(asked: INewFederation): Promise<IFederation> {
    return this.ask('POST', [], asked);
  }

  stop(id: string): Promise<void> {
    return this.ask('DELETE', [id]);
  }

  scale(id: string, parties: number): Promise<void> {
    return this.ask('POST', [id, 'scale'], { parties });
  }

  approve(id: string, name: string): Promise<void> {
    return this.ask('POST', [id, 'approve'], { name });
  }

  expel(id: string, name: string): Promise<void> {
    return this.ask('POST', [id, 'expel'], { name });
  }

  async invite(id: string, n: number): Promise<string[]> {
    return (await this.ask<{ commands: string[] }>('POST', [id, 'invite'], { n })).commands;
  }

  async log(id: string): Promise<string[]> {
    return (await this.ask<{ lines: string[] }>('GET', [id, 'log'])).lines;
  }

  private async ask<T>(
    method: string,
    path: string[],
    body?: unknown,
    signal?: AbortSignal,
    after?: string
  ): Promise<T> {
    const url = URLExt.join(
      this.settings.baseUrl,
      'fi-workbench/api/federations',
      ...path.map(encodeURIComponent)
    );
    const init: RequestInit = { method, signal: signal ?? null, cache: 'no-store' };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { 'Content-Type': 'application/json' };
    }
    const query = after === undefined ? '' : URLExt.objectToQueryString({ after });
    const response = await ServerConnection.makeRequest(url + query, init, this.settings);
    const text = await response.text();
    if (!response.ok) {
      throw new RefusedError(messageIn(text) || `The server answered ${response.status}.`, response.status);
    }
    return (text ? JSON.parse(text) : undefined) as T;
  }
}

function messageIn(text: string): string {
  try {
    const { message } = JSON.parse(text);
    return typeof message === 'string' ? message : '';
  } catch {
    return '';
  }
}
