import type { IDisposable } from '@lumino/disposable';
import { Poll } from '@lumino/polling';
import { type ISignal, Signal } from '@lumino/signaling';

import { type FederationsApi, type IFederation, type IListing, RefusedError } from './api';

/** Between this page and its server. */
export type Link = 'loading' | 'live' | 'lost' | 'missing' | 'signed-out';

/** A question that nobody answers for this long is asked anew: the machine may have slept. */
const PATIENCE_MS = 40_000;

/** The federations as they are, kept up to date for as long as somebody can see the page. No DOM beyond its visibility. */
export class FederationsModel implements IDisposable {
  constructor(
    readonly api: FederationsApi,
    pollSeconds: number
  ) {
    this._poll = new Poll({
      name: 'fi-workbench:federations',
      factory: () => this.ask(),
      frequency: { interval: 1000 * pollSeconds, backoff: true, max: 5000 },
      standby: 'when-hidden',
      linger: 0
    });
    this._poll.ticked.connect((_, state) => {
      if (state.phase === 'rejected') {
        this.lose(state.payload);
      }
    });
    document.addEventListener('visibilitychange', this.onVisibility);
  }

  /** Emitted whenever anything below has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get federations(): readonly IFederation[] {
    return this._federations;
  }

  get link(): Link {
    return this._link;
  }

  get isDisposed(): boolean {
    return this._poll.isDisposed;
  }

  /** At least this long lies between two answers of the server. */
  set pollSeconds(seconds: number) {
    this._poll.frequency = { ...this._poll.frequency, interval: 1000 * seconds };
  }

  find(id: unknown): IFederation | undefined {
    return this._federations.find(federation => federation.id === id);
  }

  /** Ask the server now, and no longer wait for its next change. */
  refresh(): Promise<void> {
    this._version = '';
    this._asking?.abort();
    return this._poll.refresh();
  }

  dispose(): void {
    document.removeEventListener('visibilitychange', this.onVisibility);
    this._asking?.abort();
    this._poll.dispose();
    Signal.clearData(this);
  }

  private async ask(): Promise<IListing> {
    const asking = (this._asking = new AbortController());
    const impatient = setTimeout(() => asking.abort(), PATIENCE_MS);
    try {
      const listing = await this.api.list(this._link === 'live' ? this._version : '', asking.signal);
      if (asking === this._asking) {
        this.take(listing);
      }
      return listing;
    } finally {
      clearTimeout(impatient);
    }
  }

  private take(listing: IListing): void {
    const moved = listing.version !== this._version || this._link !== 'live';
    this._version = listing.version;
    this._federations = listing.federations;
    this._link = 'live';
    if (moved) {
      this._changed.emit();
    }
  }

  private lose(reason: unknown): void {
    if (this._asking?.signal.aborted && document.hidden) {
      return; // let go of by ourselves
    }
    const status = reason instanceof RefusedError ? reason.status : 0;
    const link = status === 404 ? 'missing' : status === 401 || status === 403 ? 'signed-out' : 'lost';
    if (link !== this._link) {
      this._link = link;
      this._changed.emit();
    }
  }

  /** A browser has six connections to a server: a tab that nobody sees must hold none. */
  private readonly onVisibility = (): void => {
    if (document.hidden) {
      this._asking?.abort();
    } else {
      void this._poll.refresh();
    }
  };

  private readonly _poll: Poll<IListing>;
  private readonly _changed = new Signal<this, void>(this);
  private _asking: AbortController | null = null;
  private _federations: readonly IFederation[] = [];
  private _link: Link = 'loading';
  private _version = '';
}
