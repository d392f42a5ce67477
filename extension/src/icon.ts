import { LabIcon } from '@jupyterlab/ui-components';

/** Three parties around the answer they give together; `jp-icon*` classes follow the theme. */
export const federationIcon = new LabIcon({
  name: 'fi-workbench:icon',
  svgstr: `
<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3" stroke="#616161" stroke-width="1.6" stroke-linecap="round" fill="none">
    <path d="M12 9.4V6.2M9.7 13.4l-2.9 1.9M14.3 13.4l2.9 1.9"/>
    <circle cx="12" cy="4" r="2.2"/>
    <circle cx="5" cy="16.5" r="2.2"/>
    <circle cx="19" cy="16.5" r="2.2"/>
  </g>
  <circle class="jp-icon-brand0 jp-icon-selectable" fill="#0072b2" cx="12" cy="12" r="3"/>
</svg>`
});
