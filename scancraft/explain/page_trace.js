// Why a channel holds what it holds, without a document: the numbers of one step, as the model computed them, and which
// channels act on which memory, read off the weights.
"use strict";

const Trace = (() => {
  const f32 = Math.fround;

  // Row of a matrix times a vector, term by term.
  function terms(matrix, row, vector) {
    const found = [];
    for (let i = matrix.starts[row]; i < matrix.starts[row + 1]; i++) {
      found.push({ at: matrix.places[i], weight: matrix.kept[i], value: vector[matrix.places[i]] });
    }
    return found;
  }

  // A column of a matrix: pairs of row and weight.
  function column(matrix, number) {
    const found = [];
    for (let row = 0; row + 1 < matrix.starts.length; row++) {
      for (let i = matrix.starts[row]; i < matrix.starts[row + 1]; i++) {
        if (matrix.places[i] === number) found.push([row, matrix.kept[i]]);
      }
    }
    return found;
  }

  // Where the parameters of a channel lie.
  function rows(about, c) {
    const second = about.type === "mamba2";
    const head = second ? Math.floor(c / (about.d_inner / about.n_heads)) : c;
    return {
      second,
      head,
      x: second ? about.d_inner + c : c,
      z: second ? c : about.d_inner + c,
      delta: about.d_inner + about.conv_dim + head,
    };
  }

  // One channel at one step: y = C h + D x and everything that goes into it. All are numbers of the step itself.
  function channel(session, t, b, c) {
    const { about, blocks } = session.model;
    const [block, part, at] = [blocks[b], session.records[t].parts[b], rows(about, c)];
    const before = t > 0 ? session.records[t - 1].parts[b].h : new Float32Array(part.h.length);
    const [taps, states, rank] = [about.d_conv, about.d_state, about.dt_rank];
    const low = (matrix) => terms(matrix, c, part.dt).map((term) => ({ ...term, from: terms(block.xProj, term.at, part.x) }));
    return {
      reads: terms(block.inProj, at.x, part.normed),
      taps: Array.from({ length: taps }, (_, k) => ({ back: taps - 1 - k, weight: block.conv[c * taps + k], value: part.window[c * taps + k] })),
      bias: block.convBias[c],
      x: part.x[c],
      delta: { terms: at.second ? terms(block.inProj, at.delta, part.normed) : low(block.dtProj), bias: block.dtBias[at.head], value: part.delta[c] },
      sign: block.signProj ? { terms: low(block.signProj), bias: block.signBias[c], value: part.sign[c] } : null,
      states: Array.from({ length: states }, (_, n) => ({
        n,
        A: block.A[at.second ? at.head : c * states + n],
        gate: part.gates[c * states + n],
        before: before[c * states + n],
        B: part.B[n],
        h: part.h[c * states + n],
        C: part.C[n],
        ...(at.second ? {} : { fromB: terms(block.xProj, rank + n, part.x), fromC: terms(block.xProj, rank + states + n, part.x) }),
      })),
      D: block.D[at.head],
      y: part.y[c],
      gate: { terms: terms(block.inProj, at.z, part.normed), value: part.z[c] },
      product: f32(part.y[c] * part.z[c]),
      gated: part.gated[c],
      writes: column(block.outProj, c).map(([dimension, weight]) => ({ at: dimension, weight })),
    };
  }

  const negated = (pairs) => pairs.map(([row, weight]) => [row, -weight]);
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

  // Channels that find something out. A threshold may take two: the second has the same input, and all that it makes is
  // the first one's with the other sign, so it takes the excess away.
  function conditions(model, b, channels) {
    const block = model.blocks[b];
    if (block.conditions) return block.conditions;
    const found = [];
    const taps = model.about.d_conv;
    for (const { index, role } of channels) {
      if (role !== "condition" && role !== "feature") continue;
      const row = rows(model.about, index).x;
      const reads = [];
      for (let i = block.inProj.starts[row]; i < block.inProj.starts[row + 1]; i++) reads.push([block.inProj.places[i], block.inProj.kept[i]]);
      const own = { channels: [index], role, reads: [reads, [...block.conv.slice(index * taps, (index + 1) * taps)]] };
      own.makes = block.xProj ? column(block.xProj, index) : [];
      own.writes = column(block.outProj, index);
      const last = found[found.length - 1];
      const paired = last && same(last.reads, own.reads) && same(last.makes, negated(own.makes)) && same(last.writes, negated(own.writes));
      if (paired && own.makes.length + own.writes.length) last.channels.push(index);
      else found.push(own);
    }
    block.conditions = found.filter((condition) => condition.reads[0].length);
    return block.conditions;
  }

  // Whether a condition holds at a step.
  function holds(part, condition) {
    const [first, ...excess] = condition.channels;
    return f32(part.x[first] - excess.reduce((sum, c) => sum + part.x[c], 0)) > 0;
  }

  // Whether a condition has a part in the gate of a memory's channel, or in what a counter adds.
  function acts(model, memory, condition) {
    const block = model.blocks[memory.block];
    const makes = new Map(condition.makes);
    if (memory.kind === "counter") return makes.has(model.about.dt_rank + memory.entry);
    const holder = memory.channels[0].index;
    const through = (matrix) => {
      let sum = 0;
      for (let i = matrix.starts[holder]; i < matrix.starts[holder + 1]; i++) sum += matrix.kept[i] * (makes.get(matrix.places[i]) || 0);
      return sum !== 0;
    };
    return through(block.dtProj) || (block.signProj !== undefined && through(block.signProj));
  }

  // What decides about a memory: conditions of its block that act on it; in Mamba-2, where Δ, and what a counter
  // adds, are made of the residual stream itself, features (all but constants).
  function deciding(session, t, memory) {
    const { page, model } = session;
    const part = session.records[t].parts[memory.block];
    if (model.about.type === "mamba2") {
      const at = rows(model.about, memory.channels[0].index);
      return terms(model.blocks[memory.block].inProj, memory.kind === "counter" ? at.x : at.delta, part.normed)
        .filter((term) => page.residual[term.at].kind !== "constant")
        .map((term) => ({ dimension: term.at, holds: term.value !== 0 }));
    }
    return conditions(model, memory.block, page.blocks[memory.block].channels)
      .filter((condition) => acts(model, memory, condition))
      .map((condition) => ({ channel: condition.channels[0], holds: holds(part, condition) }));
  }

  // What a memory's gate did: 1 keeps, 0 forgets, -1 turns over; anything else has no name. Of a counter: what was added.
  function fate(session, t, memory) {
    const part = session.records[t].parts[memory.block];
    const at = memory.channels[0].index * session.model.about.d_state + memory.entry;
    const gate = part.gates[at];
    const added = t > 0 ? f32(part.h[at] - session.records[t - 1].parts[memory.block].h[at]) : 0;
    if (memory.kind === "counter" && gate === 1 && added !== 0) return added;
    return gate === 1 ? "kept" : gate === 0 ? "written" : gate === -1 ? "swapped" : "";
  }

  return { channel, conditions, holds, deciding, fate };
})();
