"""Which policy suits a model. It takes no step itself."""

from engine.agent.native import NativePolicy
from engine.agent.planning import PlanningPolicy
from engine.agent.routing import RoutingPolicy
from engine.agent.task import Policy
from engine.llm.base import LLM, GenerationOptions, Packing
from engine.llm.tool_calls import ToolCallingLLM


def policy_for(llm: LLM, options: GenerationOptions = GenerationOptions()) -> Policy:
    """Native calls where the model has them; else a small model's tools are chosen for it, and
    a larger one chooses itself, in JSON that it cannot get wrong."""
    if llm.metadata.native_tools and isinstance(llm, ToolCallingLLM):
        return NativePolicy(llm, options)
    if llm.metadata.packing is Packing.SENTENCES:
        return RoutingPolicy(llm, options)
    return PlanningPolicy(llm, options)
