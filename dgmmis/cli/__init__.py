"""The command line: `dgmmis VERB ...`.

Exit codes: 0 done; 1 anything else; 2 wrong usage or setting; 3 input that cannot be used; 4 the destination
exists; 5 a stored file was altered; 6 the run folder holds another run; 7 the cluster was lost or its workers
differ; 8 a component collapsed; 9 the fit does not fit into memory; 10 a chunk kills its workers; 11 the run was
cancelled; 75 the run is driven by another process; 130 and 143 told to stop by SIGINT or SIGTERM (the run can be
resumed).
"""

from dgmmis.cli.application import main

__all__ = ["main"]
