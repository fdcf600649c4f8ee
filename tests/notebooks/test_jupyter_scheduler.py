"""Our notebooks as jobs of jupyter-scheduler, with its own executor."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import redis
from jupyter_scheduler import executors, orm

from rededge_nb import assets

NOTEBOOK = "03_produce_frames.ipynb"


@pytest.mark.filterwarnings("default")  # its warnings, and those of its database, are not ours
def test_a_job_with_the_input_folder_runs_a_notebook_of_ours_with_parameters(
    client: redis.Redis, tmp_path: Path
) -> None:
    database = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    staging = tmp_path / "staging"  # where the job's copies of the notebook and of its folder are
    shutil.copytree(assets.folder("notebooks"), staging)
    orm.create_tables(database)
    with orm.create_session(database)() as session:
        # as somebody types them in the dialog: a text needs quotes
        parameters = {"camera": '"job"', "seconds": "1"}
        job = {"job_id": "1", "name": "test", "url": "/", "status": "CREATED", "output_formats": ["ipynb"]}
        session.add(orm.Job(**job, input_filename=NOTEBOOK, runtime_environment_name="-", parameters=parameters))
        session.commit()
    paths = {"input": str(staging / NOTEBOOK), "ipynb": str(staging / "output.ipynb")}
    executors.DefaultExecutionManager("1", str(staging), database, paths).process()
    with orm.create_session(database)() as session:
        done = session.query(orm.Job).one()
        assert (str(done.status), done.status_message) == ("COMPLETED", None)
    assert client.xlen("camera:job") == 10
    assert Path(paths["ipynb"]).exists()
