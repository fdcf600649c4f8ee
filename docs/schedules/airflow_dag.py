"""The RedisEdge pipeline as an Airflow DAG: one run at a time, times that were missed are left out."""

import os
from datetime import timedelta

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

REDEDGE = os.environ.get("REDEDGE", "rededge")
RUNS = os.environ.get("REDEDGE_RUNS", "/var/lib/rededge/runs")

with DAG(
    dag_id="rededge_pipeline",
    schedule="*/15 * * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="local"),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    tags=["rededge"],
) as dag:
    BashOperator(
        task_id="run",
        # exec: Airflow's signal to end the task reaches the run itself, which then stops what it started
        bash_command='exec "$REDEDGE" pipeline run --json --camera door --output "$REDEDGE_RUNS" --keep 96',
        env={"REDEDGE": REDEDGE, "REDEDGE_RUNS": RUNS},
        append_env=True,
        retries=1,
        retry_delay=timedelta(minutes=1),
    )
