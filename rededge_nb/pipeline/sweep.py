"""One run for each value of a parameter, and then the comparison of the runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rededge_nb.errors import ConfigurationError, PipelineError
from rededge_nb.pipeline.run import GEAR_SETTINGS, PipelineReport, run_pipeline
from rededge_nb.pipeline.runs import Run, Runs

logger = logging.getLogger(__name__)


def run_sweep(
    name: str,
    values: Sequence[object],
    *,
    parameters: Mapping[str, object] | None = None,
    started: Callable[[object], object] | None = None,
    **options: Any,
) -> Runs:
    """Run the pipeline once for each value; a run that fails does not prevent the others.

    Args:
        name: A parameter of the notebooks; or `confidence` or `iou`, the thresholds of the people counter, which are
            those of the whole server while a run lasts, and are set back afterwards.
        values: Its values.
        parameters: Other parameters of the notebooks.
        started: Called with each value before its run.
        options: Those of `run_pipeline`.

    Returns:
        The runs, the newest first; `compare()` shows their figures side by side in the order of the values.

    Raises:
        ConfigurationError: there are fewer than two values, or the notebooks have no such parameter.
        PipelineError: a run has failed; the message names the values.
    """
    if len(values) < 2:
        raise ConfigurationError(f"{name} has {len(values)} value: give two or more, such as {name}=0.3,0.4,0.5")
    runs: list[Run] = []
    failed: list[tuple[object, PipelineError]] = []
    for value in values:
        if started is not None:
            started(value)
        chosen: dict[str, Any] = {"parameters": dict(parameters or {})}
        if name in GEAR_SETTINGS:
            chosen["gear_settings"] = {name: value}
        else:
            chosen["parameters"][name] = value
        try:
            report: PipelineReport = run_pipeline(**chosen, **options)
        except PipelineError as error:
            logger.warning("%s=%s failed: %s", name, value, error)
            failed.append((value, error))
        else:
            runs.append(Run(report.folder, "done", report.summary))
    if failed:
        texts = "; ".join(f"{name}={value}: {error}" for value, error in failed)
        raise PipelineError(f"{len(failed)} of {len(values)} runs failed: {texts}") from failed[0][1]
    return Runs(list(reversed(runs)))
