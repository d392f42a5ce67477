import * as React from 'react';

import type { INewFederation } from './api';
import { Problem, useAttempt } from './controls';
import type { Options } from './options';
import { MAX_PARTIES } from './tokens';
import { addressWarning, isAddress } from './words';

interface IFormProps {
  title: string;
  action: string;
  /** Why it cannot be sent as it is. */
  wrong?: string;
  onSubmit: () => Promise<unknown>;
  onClose: () => void;
}

/** A form in the panel: Enter sends it, Escape closes it, and what is refused is said beneath. */
function Form(props: React.PropsWithChildren<IFormProps>): JSX.Element {
  const { problem, busy, attempt } = useAttempt();
  const form = React.useRef<HTMLFormElement>(null);
  React.useEffect(() => {
    form.current?.querySelector<HTMLElement>('input, select')?.focus();
  }, []);
  const submit = async (event: React.FormEvent): Promise<void> => {
    event.preventDefault();
    if (!props.wrong && (await attempt(props.onSubmit))) {
      props.onClose();
    }
  };
  return (
    <form
      ref={form}
      className="fi-Form"
      data-testid="fi-form"
      aria-label={props.title}
      onSubmit={event => void submit(event)}
      onKeyDown={event => event.key === 'Escape' && props.onClose()}
    >
      <h3>{props.title}</h3>
      {props.children}
      <Problem text={props.wrong || problem} />
      <div className="fi-Form-buttons">
        <button type="button" className="fi-Button fi-mod-text" onClick={props.onClose}>
          Cancel
        </button>
        <button type="submit" className="fi-Button fi-mod-text fi-mod-accent" disabled={busy || !!props.wrong}>
          {props.action}
        </button>
      </div>
    </form>
  );
}

function Field(props: React.PropsWithChildren<{ label: string; hint?: string }>): JSX.Element {
  return (
    <label className="fi-Field">
      <span>{props.label}</span>
      {props.children}
      {props.hint && <small>{props.hint}</small>}
    </label>
  );
}

interface INewProps {
  options: Options;
  onStart: (asked: INewFederation) => Promise<unknown>;
  onClose: () => void;
}

const NAME_HINT = 'Letters, digits, spaces and . _ -';

/** Demo parties on this machine. */
export function StartForm(props: INewProps): JSX.Element {
  const standard = props.options.values;
  const [name, setName] = React.useState('');
  const [parties, setParties] = React.useState(`${standard.parties}`);
  const [dataset, setDataset] = React.useState(standard.dataset);
  const [alpha, setAlpha] = React.useState(`${standard.alpha}`);
  const [model, setModel] = React.useState(standard.model);
  const count = Number(parties);
  const skew = Number(alpha);
  const wrong = !(Number.isInteger(count) && count >= 1 && count <= MAX_PARTIES)
    ? `Parties: a whole number from 1 to ${MAX_PARTIES}.`
    : !(skew > 0)
      ? 'Skew: a number greater than 0.'
      : '';
  const asked = { name: name.trim(), parties: count, dataset, alpha: skew, model };
  return (
    <Form
      title="Start a federation"
      action="Start"
      wrong={wrong}
      onClose={props.onClose}
      onSubmit={() => props.onStart(asked)}
    >
      <Field label="Name" hint={NAME_HINT}>
        <input value={name} placeholder={`${dataset}-1`} maxLength={40} onChange={event => setName(event.target.value)} />
      </Field>
      <div className="fi-Row">
        <Field label="Parties">
          <input
            type="number"
            min={1}
            max={MAX_PARTIES}
            value={parties}
            data-testid="fi-parties"
            onChange={event => setParties(event.target.value)}
          />
        </Field>
        <Field label="Skew (α)">
          <input
            type="number"
            min={0.01}
            step="any"
            value={alpha}
            title="Dirichlet α: the smaller, the more the parties' data differ"
            onChange={event => setAlpha(event.target.value)}
          />
        </Field>
      </div>
      <Field label="Data set">
        <Choice value={dataset} choices={props.options.choices('dataset')} onChange={setDataset} />
      </Field>
      <Field label="Model of each party">
        <Choice value={model} choices={props.options.choices('model')} onChange={setModel} />
      </Field>
    </Form>
  );
}

/** An empty federation that others join with models of their own. */
export function HostForm(props: INewProps): JSX.Element {
  const [name, setName] = React.useState('');
  const [address, setAddress] = React.useState('127.0.0.1:0');
  const wrong = isAddress(address.trim()) ? '' : 'Address: HOST:PORT; port 0 takes any free one.';
  const warning = wrong ? '' : addressWarning(address.trim());
  return (
    <Form
      title="Host a federation"
      action="Host"
      wrong={wrong}
      onClose={props.onClose}
      onSubmit={() => props.onStart({ name: name.trim(), address: address.trim() })}
    >
      <p>Others join it with their own models; you invite them.</p>
      <Field label="Name" hint={NAME_HINT}>
        <input value={name} placeholder="federation-1" maxLength={40} onChange={event => setName(event.target.value)} />
      </Field>
      <Field label="Address" hint={warning ? '' : 'This computer only, any free port. 0.0.0.0:9092 lets others on the network in.'}>
        <input value={address} data-testid="fi-address" onChange={event => setAddress(event.target.value)} />
      </Field>
      {warning && (
        <p className="fi-Warning" role="status">
          {warning}
        </p>
      )}
    </Form>
  );
}

/** A SuperLink that runs elsewhere: remembered here, connected to by notebooks. */
export function ConnectForm(props: { onRemember: (address: string) => Promise<unknown>; onClose: () => void }): JSX.Element {
  const [address, setAddress] = React.useState('');
  const wrong = !address.trim() || isAddress(address.trim()) ? '' : 'Address: HOST:PORT, e.g. superlink.example.org:8000.';
  return (
    <Form
      title="Connect to a SuperLink"
      action="Remember"
      wrong={wrong}
      onClose={props.onClose}
      onSubmit={() => {
        if (!address.trim()) {
          throw new Error('Give the address of the SuperLink first.');
        }
        return props.onRemember(address.trim());
      }}
    >
      <p>It is listed here, so that its connection can be inserted into notebooks. Nothing connects before such code runs.</p>
      <Field label="Address">
        <input
          value={address}
          placeholder="superlink.example.org:8000"
          data-testid="fi-superlink"
          onChange={event => setAddress(event.target.value)}
        />
      </Field>
    </Form>
  );
}

function Choice(props: { value: string; choices: string[]; onChange: (value: string) => void }): JSX.Element {
  const choices = props.choices.includes(props.value) ? props.choices : [props.value, ...props.choices];
  return (
    <select value={props.value} onChange={event => props.onChange(event.target.value)}>
      {choices.map(choice => (
        <option key={choice} value={choice}>
          {choice.replace(/_/g, ' ')}
        </option>
      ))}
    </select>
  );
}
