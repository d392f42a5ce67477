import type { LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { messageOf } from './words';

interface IIconButtonProps {
  icon: LabIcon;
  label: string;
  testid?: string;
  text?: string;
  disabled?: boolean;
  pressed?: boolean;
  accent?: boolean;
  onClick: () => unknown;
}

/** A button with an icon, and words beside it or in its tooltip. */
export function IconButton(props: IIconButtonProps): JSX.Element {
  const { icon: Icon, label, text } = props;
  return (
    <button
      type="button"
      className={`fi-Button${text ? ' fi-mod-text' : ''}${props.accent ? ' fi-mod-accent' : ''}`}
      data-testid={props.testid}
      aria-label={label}
      aria-pressed={props.pressed}
      title={label}
      disabled={props.disabled}
      onClick={() => void props.onClick()}
    >
      <Icon.react tag="span" className="fi-Button-icon" elementSize="normal" aria-hidden="true" />
      {text && <span>{text}</span>}
    </button>
  );
}

interface IAttempt {
  /** What went wrong the last time, in words. */
  problem: string;
  busy: boolean;
  /** Do something; what goes wrong is said in place. Resolves to whether it worked. */
  attempt: (work: () => unknown) => Promise<boolean>;
  clear: () => void;
}

export function useAttempt(): IAttempt {
  const [problem, setProblem] = React.useState('');
  const [busy, setBusy] = React.useState(false);
  const shown = React.useRef(true);
  React.useEffect(() => {
    shown.current = true;
    return () => {
      shown.current = false;
    };
  }, []);
  const attempt = async (work: () => unknown): Promise<boolean> => {
    setProblem('');
    setBusy(true);
    try {
      await work();
      return true;
    } catch (error) {
      if (shown.current) {
        setProblem(messageOf(error));
      }
      return false;
    } finally {
      if (shown.current) {
        setBusy(false);
      }
    }
  };
  return { problem, busy, attempt, clear: () => setProblem('') };
}

/** What went wrong, where it went wrong. */
export function Problem(props: { text: string; onClose?: () => void }): JSX.Element | null {
  if (!props.text) {
    return null;
  }
  return (
    <div className="fi-Problem" role="alert" data-testid="fi-problem">
      <span>{props.text}</span>
      {props.onClose && (
        <button type="button" className="fi-Link" onClick={props.onClose}>
          Dismiss
        </button>
      )}
    </div>
  );
}

/** Text to be copied, with the button that does it and says that it did. */
export function Copyable(props: { text: string; label: string }): JSX.Element {
  const [copied, setCopied] = React.useState(false);
  const { problem, attempt } = useAttempt();
  const copy = async (): Promise<void> => setCopied(await attempt(() => navigator.clipboard.writeText(props.text)));
  return (
    <div className="fi-Copyable">
      <code tabIndex={0} aria-label={props.label} >
        {props.text}
      </code>
      <button type="button" className="fi-Link" data-testid="fi-copy" onClick={() => void copy()}>
        {copied ? 'Copied' : 'Copy'}
      </button>
      <Problem text={problem && `It could not be copied (${problem}); select the text and copy it yourself.`} />
    </div>
  );
}
