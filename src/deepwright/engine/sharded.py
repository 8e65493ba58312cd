"""Where the weights of a run lie: whole in every process, or a shard in each (FSDP2); and their states (floor 5)."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from deepwright.blocks.optimization import Muon
from deepwright.blocks.synchronized import synchronize
from deepwright.engine.loop import Task
from deepwright.engine.parallel import GradientSum, World
from deepwright.errors import RecipeError


class Whole:
    """Every process holds all weights and all of the optimizer's state: data parallel, and the single process."""

    collective = False
    """Whether all processes have to ask for a state together."""

    def model(self, model: nn.Module) -> dict[str, Tensor]:
        """Return the weights."""
        return model.state_dict()

    def optimizer(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Return the optimizer's state."""
        return optimizer.state_dict()

    def restore(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, weights: dict[str, Tensor], state: dict[str, Any]
    ) -> None:
        """Put both states back."""
        model.load_state_dict(weights)
        optimizer.load_state_dict(state)


class Sharded(Whole):
    """Every process holds a shard of each weight, gradient and optimizer state (FSDP2; ZeRO stage 3, arXiv 1910.02054).

    States are gathered whole, on the CPU of process 0; the others get empty ones.
    """

    collective = True
    _whole = StateDictOptions(full_state_dict=True, cpu_offload=True)

    def model(self, model: nn.Module) -> dict[str, Tensor]:
        """Gather the weights."""
        return cast(dict[str, Tensor], get_model_state_dict(model, options=self._whole))

    def optimizer(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Gather the optimizer's state; it goes by the names of the weights."""
        return get_optimizer_state_dict(model, optimizer, options=self._whole)

    def restore(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, weights: dict[str, Tensor], state: dict[str, Any]
    ) -> None:
        """Take this process's shards of both states."""
        set_model_state_dict(model, cast(dict[str, Any], weights), options=self._whole)
        set_optimizer_state_dict(model, optimizer, state, options=self._whole)


def distribute(task: Task, world: World, *, sharded: bool) -> Whole:
    """Let a task's model, in place, be trained by all processes; the optimizer is to be built afterwards.

    Args:
        task: What is trained.
        world: The processes.
        sharded: Whether each process holds a shard of the weights, instead of all.

    Raises:
        RecipeError: An average is kept of sharded weights (E106).
    """
    task.world = world
    if world.size > 1:
        synchronize(task.model, world.sum)
    if not sharded:
        if world.size > 1:
            task.exchange = GradientSum(task.model.parameters(), world, max(1, task.feed.parts))
        return Whole()
    if world.size > 1:
        if task.average is not None:
            raise RecipeError(
                "E106",
                "sharded weights are not averaged",
                where="training.average",
                got="training.parallel: sharded",
                fix="training: {parallel: data}, or average: null",
            )
        _shard(task.model, task.feed.rows.device, world)
        # FSDP sums the gradients; the loss is left.
        task.exchange = world.sum
    return Sharded()


def fit_optimizer(optimizer: torch.optim.Optimizer, world: World, *, sharded: bool) -> None:
    """Bring an optimizer in line with shards, or refuse one that needs whole matrices.

    Raises:
        RecipeError: Muon and sharded weights (E106).
    """
    if not sharded or world.size == 1:
        return
    if isinstance(optimizer, torch.optim.SGD):
        # torch 2.15 has no fused SGD for shards; those of Adam and Adagrad it has.
        for group in optimizer.param_groups:
            group["fused"] = False
    if isinstance(optimizer, Muon):
        raise RecipeError(
            "E106",
            "muon orthogonalises whole matrices, and sharded weights have none",
            where="training.parallel",
            got="sharded",
            fix="training: {parallel: data}, or another optimizer",
        )


def _shard(model: nn.Module, device: torch.device, world: World) -> None:
    """Shard each stage of the network, then what is left; a stage's weights are gathered when it is computed."""
    mesh = init_device_mesh(device.type, (world.size,))
    wrapped: list[nn.Module] = []
    for module in list(model.modules()):
        # The members of these are always called, so that the hooks which gather their weights run.
        if isinstance(module, nn.Sequential | nn.ModuleList):
            wrapped += [child for child in module if any(True for _ in child.parameters())]
    # Inner ones first, as FSDP asks; one that holds a stage already keeps only what that stage leaves.
    for child in dict.fromkeys(reversed(wrapped)):
        fully_shard(child, mesh=mesh)
    fully_shard(model, mesh=mesh)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            # Sums, not means: the loss of each process is its share of the whole batch's.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(enable=True)
