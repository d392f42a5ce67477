import { type ISignal, Signal } from '@lumino/signaling';

export type Form = 'start' | 'host' | 'connect';
export type Box = { kind: 'log' } | { kind: 'invite'; commands: string[] };

/** What of the panel is open: changed by its own buttons and by commands from anywhere. */
export class PanelView {
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get form(): Form | null {
    return this._form;
  }

  /** Open a form in place of another; null closes it. */
  show(form: Form | null): void {
    this._form = form;
    this._changed.emit();
  }

  isFolded(id: string): boolean {
    return this._folded.has(id);
  }

  fold(id: string, folded: boolean): void {
    if (folded) {
      this._folded.add(id);
    } else {
      this._folded.delete(id);
    }
    this._changed.emit();
  }

  box(id: string): Box | null {
    return this._boxes.get(id) ?? null;
  }

  /** Open a box under a federation, which unfolds for it; null closes it. */
  open(id: string, box: Box | null): void {
    if (box) {
      this._boxes.set(id, box);
      this._folded.delete(id);
    } else {
      this._boxes.delete(id);
    }
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
  private readonly _folded = new Set<string>();
  private readonly _boxes = new Map<string, Box>();
  private _form: Form | null = null;
}
