"""The table of AI commands."""

from __future__ import annotations

from functools import partial

from rededge_nb.edge.ai.commands.dags import run_dag
from rededge_nb.edge.ai.commands.info import config, info
from rededge_nb.edge.ai.commands.models import modelget, modelset, modelstore
from rededge_nb.edge.ai.commands.runs import modelexecute, modelrun, scriptexecute, scriptrun
from rededge_nb.edge.ai.commands.scripts import scriptget, scriptset, scriptstore
from rededge_nb.edge.ai.commands.stored import delete, scan
from rededge_nb.edge.ai.commands.tensors import tensorget, tensorset
from rededge_nb.edge.ai.execution.loaded_models import LoadedModels
from rededge_nb.edge.ai.parsing.dags import EXECUTE, EXECUTE_RO, RUN, RUN_RO
from rededge_nb.edge.ai.storage.hashes import MODEL, SCRIPT
from rededge_nb.edge.switchboard.calls import Command

_WRITE, _READ = "write deny-oom", "readonly"
# a script can run any Redis command that the worker is permitted to run
_DANGEROUS = "write dangerous"
# The key grammar cannot describe these commands, so every argument that may be a key is treated as one.
_ANY = "rw*"

COMMANDS: tuple[Command[LoadedModels], ...] = (
    Command("AI.TENSORSET", tensorset, "ai", -1, _WRITE, "write", "w", args=(3, None)),
    Command("AI.TENSORGET", tensorget, "ai", -1, _READ, "read", "r", args=(1, 3)),
    Command("AI.MODELSTORE", modelstore, "ai", -1, _WRITE, "write", "w", args=(5, None)),
    Command("AI.MODELSET", modelset, "ai", -1, _WRITE, "write", "w", args=(3, None)),
    Command("AI.MODELGET", modelget, "ai", -1, _READ, "read", "r", args=(1, 3)),
    Command("AI.MODELDEL", partial(delete, kind=MODEL), "ai", -1, "write", "write", "w", args=(1, 1)),
    Command("AI.MODELEXECUTE", modelexecute, "ai", -1, _WRITE, "write", "r INPUTS:r OUTPUTS:w"),
    Command("AI.MODELRUN", modelrun, "ai", -1, _WRITE, "write", f"r {_ANY}"),
    Command("AI._MODELSCAN", partial(scan, kind=MODEL), "ai", -1, _READ, "read", args=(0, 0)),
    Command("AI.SCRIPTSTORE", scriptstore, "ai", -1, _WRITE, _DANGEROUS, "w", args=(7, None)),
    Command("AI.SCRIPTSET", scriptset, "ai", -1, _WRITE, _DANGEROUS, "w", args=(3, 6)),
    Command("AI.SCRIPTGET", scriptget, "ai", -1, _READ, "read", "r", args=(1, 3)),
    Command("AI.SCRIPTDEL", partial(delete, kind=SCRIPT), "ai", -1, "write", _DANGEROUS, "w", args=(1, 1)),
    Command("AI.SCRIPTEXECUTE", scriptexecute, "ai", -1, _WRITE, _DANGEROUS, f"r . {_ANY}"),
    Command("AI.SCRIPTRUN", scriptrun, "ai", -1, _WRITE, _DANGEROUS, f"r . {_ANY}"),
    Command("AI._SCRIPTSCAN", partial(scan, kind=SCRIPT), "ai", -1, _READ, "read", args=(0, 0)),
    Command("AI.DAGEXECUTE", partial(run_dag, dialect=EXECUTE), "ai", -1, _WRITE, _DANGEROUS, _ANY),
    Command("AI.DAGEXECUTE_RO", partial(run_dag, dialect=EXECUTE_RO), "ai", -1, _READ, "read", _ANY),
    Command("AI.DAGRUN", partial(run_dag, dialect=RUN), "ai", -1, _WRITE, _DANGEROUS, _ANY, args=(3, None)),
    Command("AI.DAGRUN_RO", partial(run_dag, dialect=RUN_RO), "ai", -1, _READ, "read", _ANY, args=(3, None)),
    Command("AI.INFO", info, "ai", -1, _READ, "read", "r", args=(1, 2)),
    Command("AI.CONFIG", config, "ai", -1, "write", "write admin dangerous", args=(1, None)),
)
