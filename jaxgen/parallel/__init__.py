"""Devices: the same step by `jit` over a mesh or by `pmap`, in one process or several."""

from jaxgen.parallel.mesh import (
    AXIS,
    device_mesh,
    local,
    replicate,
    require_divisible,
    shard,
)
from jaxgen.parallel.processes import (
    agreed,
    any_process,
    distributed,
    is_one_of_several,
    is_writer,
    leaving_if_alone,
    writers_numbers,
)
from jaxgen.parallel.steps import (
    Dispatch,
    Step,
    first_replica,
    jit_step,
    jit_steps,
    pmap_step,
    stack_replicas,
    steps_per_dispatch,
)

__all__ = [
    "AXIS",
    "Dispatch",
    "Step",
    "agreed",
    "any_process",
    "device_mesh",
    "distributed",
    "first_replica",
    "is_one_of_several",
    "is_writer",
    "jit_step",
    "jit_steps",
    "leaving_if_alone",
    "local",
    "pmap_step",
    "replicate",
    "require_divisible",
    "shard",
    "stack_replicas",
    "steps_per_dispatch",
    "writers_numbers",
]
