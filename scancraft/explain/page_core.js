// The arithmetic of the page, without a document: the model, token by token in float32, beside the language (page_truth.js).
// Every product and every sum is rounded to float32. In a compiled model all of them are exact, so the order of the
// sums does not matter and the bits are those of the model in PyTorch.
"use strict";

const Scancraft = (() => {
  const f32 = Math.fround;

  // -- numbers --------------------------------------------------------------------------------------------------------

  // The exponential is rounded to float32, where it overflows at 89: silu(-100) is -0 there, not -4e-42.
  const exp = (v) => f32(Math.exp(v));
  const silu = (v) => f32(v / f32(1 + exp(-v)));
  const softplus = (v) => (v > 20 ? v : f32(Math.log1p(exp(v))));

  // A tensor: its size, and base64 of the places (uint32) and values (float32) of the entries that are not zero.
  function floats(tensor) {
    const bytes = (text) => Uint8Array.from(atob(text), (ch) => ch.charCodeAt(0)).buffer;
    const places = new Uint32Array(bytes(tensor.places));
    const values = new Float32Array(bytes(tensor.values));
    const out = new Float32Array(tensor.size);
    places.forEach((place, i) => {
      out[place] = values[i];
    });
    return out;
  }

  // The entries of a matrix that are not zero, row by row; zeros add nothing to a finite sum.
  function sparse(values, columns) {
    const starts = [0];
    const places = [];
    const kept = [];
    for (let row = 0; row * columns < values.length; row++) {
      for (let j = 0; j < columns; j++) {
        const value = values[row * columns + j];
        if (value !== 0) {
          places.push(j);
          kept.push(value);
        }
      }
      starts.push(kept.length);
    }
    return { starts, places, kept };
  }

  function times(matrix, vector, bias) {
    const rows = matrix.starts.length - 1;
    const out = new Float32Array(rows);
    for (let row = 0; row < rows; row++) {
      let sum = 0;
      for (let i = matrix.starts[row]; i < matrix.starts[row + 1]; i++) {
        sum = f32(sum + f32(matrix.kept[i] * vector[matrix.places[i]]));
      }
      out[row] = bias === undefined ? sum : f32(sum + bias[row]);
    }
    return out;
  }

  // v / sqrt(mean(v^2) + epsilon), times a weight if there is one.
  function rms(vector, epsilon, weight) {
    let sum = 0;
    for (const v of vector) sum = f32(sum + f32(v * v));
    const mean = f32(sum / vector.length);
    const scale = f32(1 / f32(Math.sqrt(f32(mean + f32(epsilon)))));
    return vector.map((v, i) => (weight === undefined ? f32(v * scale) : f32(weight[i] * f32(v * scale))));
  }

  // -- the model --------------------------------------------------------------------------------------------------------

  class Model {
    constructor(about) {
      this.about = about;
      const { d_model, d_inner, vocab_size } = about;
      const get = (name) => floats(about.tensors[name]);
      this.embedding = get("backbone.embeddings.weight");
      this.norm = get("backbone.norm_f.weight");
      this.head = sparse(get("lm_head.weight"), d_model);
      this.vocabulary = vocab_size;
      this.blocks = [];
      for (let i = 0; i < about.n_layers; i++) {
        const part = (name) => get(`backbone.layers.${i}.${name}`);
        const block = {
          norm: part("norm.weight"),
          inProj: sparse(part("mixer.in_proj.weight"), d_model),
          conv: part("mixer.conv1d.weight"),
          convBias: part("mixer.conv1d.bias"),
          A: part("mixer.A_log").map((v) => -exp(v)),
          D: part("mixer.D"),
          outProj: sparse(part("mixer.out_proj.weight"), d_inner),
        };
        if (about.type === "mamba2") {
          block.dtBias = part("mixer.dt_bias");
          block.gatedNorm = part("mixer.norm.weight");
        } else {
          block.xProj = sparse(part("mixer.x_proj.weight"), d_inner);
          block.dtProj = sparse(part("mixer.dt_proj.weight"), about.dt_rank);
          block.dtBias = part("mixer.dt_proj.bias");
        }
        if (about.type === "signed_mamba") {
          block.signProj = sparse(part("mixer.sign_proj.weight"), about.dt_rank);
          block.signBias = part("mixer.sign_proj.bias");
        }
        this.blocks.push(block);
      }
    }

    // The recurrent state before the first token: per block the inputs of the convolution and the SSM state.
    empty() {
      const { d_inner, d_state, d_conv, conv_dim } = this.about;
      return this.blocks.map(() => ({
        window: new Float32Array(conv_dim * d_conv),
        h: new Float32Array(d_inner * d_state),
      }));
    }

    // One token: the new state, the residual stream after the embedding and after every block, what each block
    // computed, and the logits.
    step(state, token) {
      const { d_model } = this.about;
      let stream = this.embedding.slice(token * d_model, (token + 1) * d_model);
      const next = [];
      const streams = [stream];
      const parts = [];
      this.blocks.forEach((block, i) => {
        const normed = rms(stream, this.about.epsilon, block.norm);
        const part = this.about.type === "mamba2" ? this._mamba2(block, state[i], normed) : this._mamba(block, state[i], normed);
        part.normed = normed;
        const before = stream;
        stream = part.out.map((v, d) => f32(before[d] + v));
        streams.push(stream);
        next.push({ window: part.window, h: part.h });
        parts.push(part);
      });
      const normed = rms(stream, this.about.epsilon, this.norm);
      return { token, state: next, streams, parts, normed, logits: times(this.head, normed) };
    }

    _convolved(block, old, inputs) {
      const taps = this.about.d_conv;
      const window = new Float32Array(old.length);
      const sums = new Float32Array(inputs.length);
      for (let c = 0; c < inputs.length; c++) {
        let sum = 0;
        for (let k = 0; k < taps; k++) {
          const value = k + 1 < taps ? old[c * taps + k + 1] : inputs[c];
          window[c * taps + k] = value;
          sum = f32(sum + f32(block.conv[c * taps + k] * value));
        }
        sums[c] = f32(sum + block.convBias[c]);
      }
      return { window, x: sums.map(silu) };
    }

    // Mamba, Falcon-Mamba (dt, B and C are normed) and the signed Mamba (gates are multiplied by a sign).
    _mamba(block, state, normed) {
      const { type, d_inner, d_state, dt_rank, mixer_epsilon } = this.about;
      const both = times(block.inProj, normed);
      const { window, x } = this._convolved(block, state.window, both.slice(0, d_inner));
      const made = times(block.xProj, x);
      let dt = made.slice(0, dt_rank);
      let B = made.slice(dt_rank, dt_rank + d_state);
      let C = made.slice(dt_rank + d_state);
      if (type === "falcon_mamba") [dt, B, C] = [dt, B, C].map((v) => rms(v, mixer_epsilon));
      const delta = times(block.dtProj, dt, block.dtBias).map(softplus);
      const sign = block.signProj && times(block.signProj, dt, block.signBias).map(Math.tanh);
      const h = new Float32Array(d_inner * d_state);
      const gates = new Float32Array(d_inner * d_state);
      const y = new Float32Array(d_inner);
      for (let c = 0; c < d_inner; c++) {
        let sum = 0;
        for (let n = 0; n < d_state; n++) {
          const at = c * d_state + n;
          gates[at] = (sign ? sign[c] : 1) * exp(f32(delta[c] * block.A[at]));
          h[at] = f32(gates[at] * state.h[at]) + f32(f32(delta[c] * B[n]) * x[c]);
          sum = f32(sum + f32(h[at] * C[n]));
        }
        y[c] = sum + f32(block.D[c] * x[c]);
      }
      const z = both.slice(d_inner).map(silu);
      const gated = y.map((v, c) => f32(v * z[c]));
      return { window, h, x, dt, delta, sign, B, C, gates, y, z, gated, out: times(block.outProj, gated) };
    }

    _mamba2(block, state, normed) {
      const { d_inner, d_state, conv_dim, n_heads, epsilon } = this.about;
      const all = times(block.inProj, normed);
      const { window, x: made } = this._convolved(block, state.window, all.slice(d_inner, d_inner + conv_dim));
      const B = made.slice(d_inner, d_inner + d_state);
      const C = made.slice(d_inner + d_state);
      const perHead = all.slice(d_inner + conv_dim).map((v, k) => softplus(f32(v + block.dtBias[k])));
      const width = d_inner / n_heads;
      const [h, gates] = [new Float32Array(d_inner * d_state), new Float32Array(d_inner * d_state)];
      const [y, delta] = [new Float32Array(d_inner), new Float32Array(d_inner)];
      for (let c = 0; c < d_inner; c++) {
        const head = Math.floor(c / width);
        delta[c] = perHead[head];
        let sum = 0;
        for (let n = 0; n < d_state; n++) {
          const at = c * d_state + n;
          gates[at] = exp(f32(delta[c] * block.A[head]));
          h[at] = f32(gates[at] * state.h[at]) + f32(f32(delta[c] * B[n]) * made[c]);
          sum = f32(sum + f32(h[at] * C[n]));
        }
        y[c] = sum + f32(block.D[head] * made[c]);
      }
      const z = all.slice(0, d_inner).map(silu);
      const gated = rms(y.map((v, c) => f32(v * z[c])), epsilon, block.gatedNorm);
      return { window, h, x: made.slice(0, d_inner), delta, B, C, gates, y, z, gated, out: times(block.outProj, gated) };
    }
  }

  // -- what memories hold -------------------------------------------------------------------------------------------------

  // A level's memory holds the label that some channel reads: y is not zero exactly there. Labels without a reader
  // cannot be told apart, by the model neither.
  function heldBy(memory, record) {
    const part = record.parts[memory.block];
    if (memory.values.length) {
      const read = memory.channels.filter((c) => part.y[c.index] !== 0).map((c) => c.label);
      if (read.length) return [...new Set(read)].join(" or ");
      const others = memory.values.filter((v) => !memory.channels.some((c) => c.label === v));
      return others.length ? others.join(" or ") : "?";
    }
    const states = part.h.length / part.y.length;
    return [...new Set(memory.channels.map((c) => part.h[c.index * states + memory.entry] + 0))].join(" or ");
  }

  // -- words --------------------------------------------------------------------------------------------------------------

  // A word as typed: split at spaces if any symbol is longer than one character. Throws at an unknown symbol.
  function parseWord(text, page) {
    const named = new Map(page.alphabet.map((symbol) => [page.spellings.get(symbol) ?? symbol, symbol]));
    const word = page.spaced
      ? text.split(/\s+/u).filter((s) => s).map((s) => named.get(s) ?? s)
      : [...text].filter((ch) => named.has(ch) || !/\s/u.test(ch));
    const unknown = word.find((symbol) => !page.alphabet.includes(symbol));
    if (unknown !== undefined) throw new Error(`“${unknown}” is no symbol of this language`);
    return word;
  }

  const formatWord = (word, page) => word.map((symbol) => page.spellings.get(symbol) ?? symbol).join(page.spaced ? " " : "");

  // A symbol as a label shows it: what cannot be seen as an escape, a blank as an open box.
  const shown = (symbol) =>
    symbol.replace(/[\s\p{Cc}\p{Cf}]/gu, (ch) => (ch === " " ? "␣" : `\\u${ch.codePointAt(0).toString(16).padStart(4, "0")}`));

  // The model and the language side by side, after <bos> and after every symbol of a word.
  class Session {
    constructor(page) {
      this.page = page;
      this.model = new Model(page.model);
      this.truth = Truth.of(page.language);
      this.word = [];
      this.records = [this._read(null, "<bos>")];
    }

    _read(before, symbol) {
      const state = before === null ? this.model.empty() : before.state;
      const record = this.model.step(state, this.page.tokens.get(symbol));
      record.at = before === null ? this.truth.start : this.truth.step(before.at, symbol);
      record.allowed = this.truth.allowed(record.at);
      record.held = this.page.memories.map((memory) => heldBy(memory, record));
      return record;
    }

    // Read a word; what it shares with the word before is not read again.
    set(word) {
      let same = 0;
      while (same < word.length && word[same] === this.word[same]) same++;
      this.records.length = Math.min(this.records.length, same + 1);
      for (const symbol of word.slice(this.records.length - 1)) this.records.push(this._read(this.records[this.records.length - 1], symbol));
      this.word = [...word];
    }
  }

  // The page's data as JSON gives it; tokens become a Map, so that a symbol may have any name.
  const open = (page) => ({ ...page, tokens: new Map(page.tokens), spellings: new Map(page.spellings) });

  return { Session, open, parseWord, formatWord, shown };
})();
