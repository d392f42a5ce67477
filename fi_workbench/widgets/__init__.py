"""The workbench: panels of ipywidgets and live views over a federation."""
