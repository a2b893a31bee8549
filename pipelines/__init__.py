"""The graph of a run (``ingest``), carrying it out (``run``) and the command line (``cli``)."""
