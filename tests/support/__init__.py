"""Help that tests and campaigns share: files, folders and their conversion, services, faults; nothing is tested here.

Files: ``dicom_bytes`` makes them byte by byte, ``codestreams`` and ``series_files`` with pixels that are known, ``header_bombs``
and ``sparse_files`` so that they cost much; ``corpora`` finds real ones.
``geometry_stacks`` plants stacks of slices, ``geometry_headers`` reads them from real files. Folders and results: ``varied_files``,
``changing_files``, ``converted_folders``, ``shared_results``, ``identical_results``, ``run_summaries``. Services:
``object_stores``, ``web_server``, ``fault_proxy``, ``disturbed_slurm_run``. Faults and attackers: ``failing_calls``,
``other_user``. ``plugin_comparison`` compares decoders.
"""
