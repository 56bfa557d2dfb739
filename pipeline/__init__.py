"""dcm2zarr: DICOM archives into chunked Zarr, frame by frame, in parallel with Dask."""
