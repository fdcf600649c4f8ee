"""The table of AI commands."""

from __future__ import annotations

from rededge_nb.edge.ai.commands.dags import dagexecute, dagexecute_ro, dagrun, dagrun_ro
from rededge_nb.edge.ai.commands.info import config, info
from rededge_nb.edge.ai.commands.models import modeldel, modelget, modelscan, modelset, modelstore
from rededge_nb.edge.ai.commands.runs import modelexecute, modelrun, scriptexecute, scriptrun
from rededge_nb.edge.ai.commands.scripts import scriptdel, scriptget, scriptscan, scriptset, scriptstore
from rededge_nb.edge.ai.commands.tensors import tensorget, tensorset
from rededge_nb.edge.switchboard.calls import Command

_WRITE, _READ = "write deny-oom", "readonly"
# scripts run any Redis command, as the worker may
_DANGEROUS = "write dangerous"
# where no grammar finds the keys, every word that may be one counts as one
_ANY = "rw*"

COMMANDS: tuple[Command, ...] = (
    Command("AI.TENSORSET", tensorset, "ai", -1, _WRITE, "write", "w"),
    Command("AI.TENSORGET", tensorget, "ai", -1, _READ, "read", "r"),
    Command("AI.MODELSTORE", modelstore, "ai", -1, _WRITE, "write", "w"),
    Command("AI.MODELSET", modelset, "ai", -1, _WRITE, "write", "w"),
    Command("AI.MODELGET", modelget, "ai", -1, _READ, "read", "r"),
    Command("AI.MODELDEL", modeldel, "ai", -1, "write", "write", "w"),
    Command("AI.MODELEXECUTE", modelexecute, "ai", -1, _WRITE, "write", "r INPUTS:r OUTPUTS:w"),
    Command("AI.MODELRUN", modelrun, "ai", -1, _WRITE, "write", f"r {_ANY}"),
    Command("AI._MODELSCAN", modelscan, "ai", -1, _READ, "read"),
    Command("AI.SCRIPTSTORE", scriptstore, "ai", -1, _WRITE, _DANGEROUS, "w"),
    Command("AI.SCRIPTSET", scriptset, "ai", -1, _WRITE, _DANGEROUS, "w"),
    Command("AI.SCRIPTGET", scriptget, "ai", -1, _READ, "read", "r"),
    Command("AI.SCRIPTDEL", scriptdel, "ai", -1, "write", _DANGEROUS, "w"),
    Command("AI.SCRIPTEXECUTE", scriptexecute, "ai", -1, _WRITE, _DANGEROUS, f"r . {_ANY}"),
    Command("AI.SCRIPTRUN", scriptrun, "ai", -1, _WRITE, _DANGEROUS, f"r . {_ANY}"),
    Command("AI._SCRIPTSCAN", scriptscan, "ai", -1, _READ, "read"),
    Command("AI.DAGEXECUTE", dagexecute, "ai", -1, _WRITE, _DANGEROUS, _ANY),
    Command("AI.DAGEXECUTE_RO", dagexecute_ro, "ai", -1, _READ, "read", _ANY),
    Command("AI.DAGRUN", dagrun, "ai", -1, _WRITE, _DANGEROUS, _ANY),
    Command("AI.DAGRUN_RO", dagrun_ro, "ai", -1, _READ, "read", _ANY),
    Command("AI.INFO", info, "ai", -1, _READ, "read", "r"),
    Command("AI.CONFIG", config, "ai", -1, "write", "write admin dangerous"),
)
