import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import { type ISignal, Signal } from '@lumino/signaling';

import { DEFAULT_OPTIONS, type IWorkbenchOptions } from './template';
import { isAddress } from './words';

export interface IOptions extends IWorkbenchOptions {
  alpha: number;
  model: string;
  pollSeconds: number;
  showPanel: boolean;
  showStatusBar: boolean;
  superLinks: readonly string[];
}

export const DEFAULTS: IOptions = {
  ...DEFAULT_OPTIONS,
  alpha: 0.3,
  model: 'mlp',
  pollSeconds: 0.2,
  showPanel: true,
  showStatusBar: true,
  superLinks: []
};

/** The settings as they stand, also where there is no registry of settings. */
export class Options {
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get values(): IOptions {
    return this._values;
  }

  /** What can be chosen for an option, as its schema says. */
  choices(name: 'dataset' | 'model'): string[] {
    const listed = this._settings?.schema.properties?.[name]?.enum;
    return Array.isArray(listed) ? listed.filter((word): word is string => typeof word === 'string') : [DEFAULTS[name]];
  }

  /** Follow a plugin's settings from now on. */
  follow(settings: ISettingRegistry.ISettings): void {
    this._settings = settings;
    const read = (): void => {
      this._values = { ...DEFAULTS, ...sound(settings.composite) };
      this._changed.emit();
    };
    settings.changed.connect(read);
    read();
  }

  async rememberSuperLink(address: string): Promise<void> {
    await this.setSuperLinks([...this._values.superLinks.filter(known => known !== address), address]);
  }

  async forgetSuperLink(address: string): Promise<void> {
    await this.setSuperLinks(this._values.superLinks.filter(known => known !== address));
  }

  private async setSuperLinks(superLinks: string[]): Promise<void> {
    if (this._settings) {
      await this._settings.set('superLinks', superLinks);
    } else {
      this._values = { ...this._values, superLinks };
      this._changed.emit();
    }
  }

  private readonly _changed = new Signal<this, void>(this);
  private _settings: ISettingRegistry.ISettings | null = null;
  private _values = DEFAULTS;
}

/** The values that have the right type; whatever else there is counts as not given. */
export function sound(values: Readonly<Record<string, unknown>>): Partial<IOptions> {
  const kept: Record<string, unknown> = {};
  for (const [name, standard] of Object.entries(DEFAULTS)) {
    const value = values[name];
    if (Array.isArray(standard)) {
      if (Array.isArray(value)) {
        kept[name] = value.filter(item => typeof item === 'string' && isAddress(item));
      }
    } else if (typeof value === typeof standard && (name !== 'parties' || Number.isInteger(value))) {
      kept[name] = value;
    }
  }
  return kept;
}
