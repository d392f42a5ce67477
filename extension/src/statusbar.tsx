import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import * as React from 'react';

import { federationIcon } from './icon';
import type { FederationsModel } from './model';
import { rate } from './words';

/** How many federations there are, and how fast they answer together; a press shows them. */
export class StatusItem extends ReactWidget {
  constructor(
    private readonly model: FederationsModel,
    private readonly onClick: () => void
  ) {
    super();
    this.addClass('fi-StatusItem');
  }

  protected override render(): JSX.Element {
    return <UseSignal signal={this.model.changed}>{() => <Count model={this.model} onClick={this.onClick} />}</UseSignal>;
  }
}

function Count(props: { model: FederationsModel; onClick: () => void }): JSX.Element {
  const { link, federations } = props.model;
  const up = federations.filter(federation => federation.state === 'up');
  const perSecond = up.reduce((sum, federation) => sum + federation.rounds_per_second, 0);
  const live = link === 'live';
  const counted = `${up.length} federation${up.length === 1 ? '' : 's'}`;
  const text = !live ? 'federations: no answer' : perSecond > 0 ? `${counted}, ${rate(perSecond)}` : counted;
  return (
    <button type="button" data-testid="fi-status" title="Show the federations" onClick={props.onClick}>
      <federationIcon.react tag="span" elementSize="small" aria-hidden="true" />
      <span>{text}</span>
    </button>
  );
}
