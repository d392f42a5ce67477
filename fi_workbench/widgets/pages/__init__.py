"""The pages behind the tabs, one file each; built when first opened."""
