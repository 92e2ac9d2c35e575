"""The paper's general SSM as an executable form, and the properties of its gates, computed.

From formulas to models:

- ``functions``, ``numbers``: symbols and functions of gates; expressions as functions of rationals, tensors, intervals.
- ``ssm``, ``examples``: the model, and the paper's constructions on it.
- ``enclosures``, ``search``: where an expression's values lie; proving its sign, or finding a value.
- ``properties``: NONNEGATIVE, TIME-INVARIANT, FIXED-PHASE of a formula; ``families``: of 19 architectures.
- ``reach``, ``model_properties``: of an abstract SSM, over the inputs that can occur in it.
- ``readers``, ``runs``, ``checkpoints``: of a torch model, from its own parameters.
- ``loop``, ``settling``: what an abstract SSM does on x w^n as n grows, the mechanism of theorem 2.

May import only :mod:`scancraft.models` and the base exception.
"""
