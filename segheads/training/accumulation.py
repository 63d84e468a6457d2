"""Gradients that wait for the next step of the optimiser when a run is saved."""

from collections.abc import Mapping

from mmengine.dist import all_reduce, get_world_size
from mmengine.runner import Runner
from torch import Tensor, nn

from segheads.checkpoints.fit import bare_model

# Where a checkpoint has them.
GRADIENTS = 'accumulated_gradients'


def accumulated_gradients(runner: Runner) -> dict[str, Tensor]:
    """Finds the gradients that wait for the next step of the optimiser.

    With ``accumulative_counts`` above 1 a run may be saved between two steps. Of several processes
    each has its own, of which the mean is what counts.

    Args:
        runner (Runner): The runner, after an iteration.

    Returns:
        dict[str, Tensor]: Gradients by name of the parameter; empty right after a step.
    """
    wrapper = runner.optim_wrapper
    if getattr(wrapper, '_accumulative_counts', 1) == 1 or wrapper.should_update():
        return {}
    gradients = {
        name: parameter.grad.detach().clone()
        for name, parameter in bare_model(runner.model).named_parameters()
        if parameter.grad is not None
    }
    if get_world_size() > 1:
        for gradient in gradients.values():
            all_reduce(gradient, op='mean')
    return gradients


def set_gradients(model: nn.Module, gradients: Mapping[str, Tensor]) -> None:
    """Gives a model the gradients that it had accumulated.

    Args:
        model (nn.Module): The model, possibly wrapped.
        gradients (Mapping[str, Tensor]): Gradients by name of the parameter.
    """
    for name, parameter in bare_model(model).named_parameters():
        gradient = gradients.get(name)
        if isinstance(gradient, Tensor) and gradient.shape == parameter.shape:
            parameter.grad = gradient.to(parameter)
