"""The argument for bounded Dyck languages: depth, slots, read-out (docs/certificates.md, method "slots")."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...automata.alphabet import EOS
from ...automata.bounded_dyck import BoundedDyck
from .circuit_argument import Argument, Bools, CircuitProof, need
from .explore import control_graph
from .obligations import Array, as_array, check_output


class SlotsArgument(Argument):
    """Step by step, on the weights of one model."""

    def prove(self) -> CircuitProof:
        """The proof; :class:`NotProvedError` where a step fails."""
        language = self.language
        assert isinstance(language, BoundedDyck)
        need(self.readout.contract == "live-prefixes", "bounded Dyck languages are certified on live prefixes only")
        need(len(self.blocks) == 2, f"{len(self.blocks)} blocks instead of two")
        table = [[0] * len(self.letters)]
        inputs = control_graph(table, 1, self.embedded(), live_only=True)
        kinds, h = language.kinds, language.depth
        self.extremes = [np.array([d], dtype=np.float64) for d in range(h + 1)]
        letters = np.array(inputs.letters)
        is_bos, closing = letters == self.bos, letters % 2 == 1
        changes = np.where(is_bos, 0, np.where(closing, -1, 1)).astype(np.float64)[:, None]
        self.note("depth")
        counted = self.count(self.blocks[0], inputs.vectors.double().numpy(), is_bos, changes)
        self.note("slots")
        pairs = [
            (n, d)
            for n in range(len(letters))
            for d in ([0] if is_bos[n] else range(h) if closing[n] else range(1, h + 1))
        ]
        nodes, depth = (np.array(column) for column in zip(*pairs, strict=True))
        kind = np.where(is_bos[nodes], -1, letters[nodes] // 2)
        opening = ~closing[nodes] & ~is_bos[nodes]
        vectors, rights = self._slots(counted.at(nodes, depth[:, None]), depth, kind, opening, kinds, h)
        self.note("read-outs")
        margin = self.verdicts(vectors, rights)
        return CircuitProof("slots", (), inputs, len(vectors), margin, {}, self.obligations())

    def _slots(
        self, vectors: Array, depth: NDArray[Any], kind: NDArray[Any], opening: Bools, kinds: int, h: int
    ) -> tuple[Array, Bools]:
        """Step 2 of the argument for bounded Dyck languages: output vectors and right verdicts of all cases."""
        block, name = self.blocks[1], "the slots block"
        self.now_only(block, name)
        inputs = self.inputs(block, vectors, name)
        self.holds()
        write, held = inputs.write, inputs.held
        need((write >= 0).all(), f"{name} writes something negative")
        need((~held | (write == 0)).all(), f"{name}: a gate of 1 with a write")
        out = as_array(block.mixer.out_proj.weight)
        most = write.max(axis=0)
        check_output(self.ledger, block, vectors, inputs, np.broadcast_to(most, write.shape), name)
        self.holds()
        base = vectors + (inputs.skip * inputs.gate) @ out.T
        groups: dict[bytes, list[tuple[int, int]]] = {}
        for c, n in np.argwhere(most > 0).tolist():
            groups.setdefault(held[:, c, n].tobytes() + write[:, c, n].tobytes(), []).append((c, n))
        top = np.zeros((len(vectors), kinds, vectors.shape[1]))
        for members in groups.values():
            channels, entries = (list(column) for column in zip(*members, strict=True))
            shown = (inputs.gate[:, channels] * inputs.c_read[:, entries]) @ out[:, channels].T
            seen = (shown != 0).any(axis=1)
            if not seen.any():
                continue
            slot = int(depth[seen][0])
            need(slot >= 1 and (depth[seen] == slot).all(), f"{name}: a memory is shown at two depths")
            c, n = members[0]
            pushed = opening & (depth == slot)
            need(not held[pushed, c, n].any(), f"{name}: a memory of depth {slot} misses an opening bracket")
            kept = held[(depth >= slot) & ~pushed, c, n]
            need(kept.all(), f"{name}: a memory of depth {slot} is overwritten at another bracket")
            value = np.zeros(kinds)
            value[kind[pushed]] = write[pushed, c, n]
            top += shown[:, None, :] * value[None, :, None]
        cases, tops = [], []
        for row in range(len(vectors)):
            on_top = [int(kind[row])] if opening[row] else range(kinds) if depth[row] else [-1]
            cases += [row] * len(on_top)
            tops += list(on_top)
        rows, on = np.array(cases), np.array(tops)
        result = base[rows] + np.where((on >= 0)[:, None], top[rows, np.maximum(on, 0)], 0.0)
        right = np.zeros((len(rows), len(self.names)), dtype=np.bool_)
        for column, token in enumerate(self.names):
            if token == EOS:
                right[:, column] = depth[rows] == 0
            elif column % 2:
                right[:, column] = on == column // 2
            else:
                right[:, column] = depth[rows] < h
        return result, right
