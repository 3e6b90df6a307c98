"""Jug on its file storage at its best for two cores: two processes, results stored, no wait between looks."""

import json
import multiprocessing
import sys
import time
from pathlib import Path

from jug.jug import execution_loop, init
from jug.options import Options, default_options
from jug.subcommands.execute import execute

folder, n = Path(sys.argv[1]), int(sys.argv[2])
(folder / "jugfile.py").write_text(
    f"""
from jug import TaskGenerator

@TaskGenerator
def noop(x):
    return x

results = [noop(i) for i in range({n})]
"""
)
options = Options(default_options)
options.update(execute.parse_defaults())
options.update({"execute_wait_cycle_time": 0.001, "execute_nr_wait_cycles": 5_000, "jugdir": str(folder / "jugdata")})


def work(tasks):
    execution_loop(list(tasks), options)


if __name__ == "__main__":
    from jug import task

    # What it needs to start is not counted.
    init(str(folder / "jugfile.py"), str(folder / "jugdata"))
    tasks = list(task.alltasks)
    assert len(tasks) == n
    workers = [multiprocessing.Process(target=work, args=(tasks,)) for _ in range(2)]
    begin = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - begin
    assert all(one.can_load() for one in tasks)
    print(json.dumps(n / seconds))
