"""Whether results open in zarr-python, xarray, tensorstore and zarrita.js: the command ``scripts/readers``."""
