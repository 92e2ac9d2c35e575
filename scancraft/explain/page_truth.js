// The language, which shares nothing with the model: what may come next after a prefix.
"use strict";

const Truth = (() => {
  const has = (object, key) => Object.prototype.hasOwnProperty.call(object, key);

  class DfaTruth {
    constructor(about) {
      Object.assign(this, about);
      this.start = this.initial;
      const last = new Set(this.accepting);
      this.final = last;
      this.live = new Set(last);
      for (let grown = true; grown; ) {
        grown = false;
        this.table.forEach((row, q) => {
          if (!this.live.has(q) && row.some((p) => this.live.has(p))) {
            this.live.add(q);
            grown = true;
          }
        });
      }
    }
    step(state, symbol) {
      return this.table[state][this.alphabet.indexOf(symbol)];
    }
    allowed(state) {
      const found = new Set(this.alphabet.filter((_, a) => this.live.has(this.table[state][a])));
      if (this.final.has(state)) found.add("<eos>");
      return found;
    }
    isLive(state) {
      return this.live.has(state);
    }
    show(state) {
      return `DFA state ${this.names[state]}`;
    }
  }

  // A machine with outputs: the class of the prefix, beside what may come next or alone.
  class MooreTruth extends DfaTruth {
    allowed(state) {
      return new Set([...(this.predicts ? super.allowed(state) : []), this.outputs[state]]);
    }
    show(state) {
      return `machine state ${this.names[state]}`;
    }
  }

  class StackTruth {
    constructor(about) {
      Object.assign(this, about);
      this.start = [];
    }
    step(stack, symbol) {
      if (stack === null) return null;
      const opened = this.brackets.findIndex((pair) => pair[0] === symbol);
      if (opened >= 0) return stack.length < this.depth ? [...stack, opened] : null;
      const closed = this.brackets.findIndex((pair) => pair[1] === symbol);
      return stack.length && stack[stack.length - 1] === closed ? stack.slice(0, -1) : null;
    }
    allowed(stack) {
      if (stack === null) return new Set();
      const found = new Set(stack.length < this.depth ? this.brackets.map((pair) => pair[0]) : []);
      found.add(stack.length ? this.brackets[stack[stack.length - 1]][1] : "<eos>");
      return found;
    }
    isLive(stack) {
      return stack !== null;
    }
    show(stack) {
      if (stack === null) return "no such stack: the word has died";
      const shown = stack.map((kind) => this.brackets[kind][0]).join(" ");
      return `stack ${shown || "empty"} (depth ${stack.length} of ${this.depth})`;
    }
  }

  // A stack of the states of the levels that are open; a level around another one is in its state after that.
  class NestedTruth {
    constructor(about) {
      Object.assign(this, about);
      this.start = [this.root];
      this.returns = new Set(Object.values(this.closes).flat());
    }
    step(stack, symbol) {
      if (stack === null || !this.allowed(stack).has(symbol)) return null;
      if (this.returns.has(symbol)) return stack.slice(0, -1);
      const after = [...stack.slice(0, -1), this.steps[stack[stack.length - 1]][symbol]];
      return has(this.opens, symbol) ? [...after, this.opens[symbol]] : after;
    }
    allowed(stack) {
      if (stack === null) return new Set();
      const [state, depth] = [stack[stack.length - 1], stack.length - 1];
      const row = has(this.steps, state) ? Object.keys(this.steps[state]) : [];
      const found = new Set(row.filter((symbol) => !has(this.opens, symbol) || depth < this.deepest[symbol]));
      if (depth) (has(this.closes, state) ? this.closes[state] : []).forEach((symbol) => found.add(symbol));
      else if (this.accepting.includes(state)) found.add("<eos>");
      return found;
    }
    isLive(stack) {
      return stack !== null;
    }
    show(stack) {
      if (stack === null) return "no such levels: the word has died";
      return `levels ${stack.join(" > ")} (depth ${stack.length - 1} of ${this.depth})`;
    }
  }

  // A word and its copy: what was read before the separator, and how much of it has been copied (-1: not begun).
  class CopyTruth {
    constructor(about) {
      Object.assign(this, about);
      this.start = { word: [], copied: -1 };
    }
    step(at, symbol) {
      if (at === null || !this.allowed(at).has(symbol)) return null;
      if (symbol === this.separator) return { word: at.word, copied: 0 };
      return at.copied < 0 ? { word: [...at.word, symbol], copied: -1 } : { word: at.word, copied: at.copied + 1 };
    }
    allowed(at) {
      if (at === null) return new Set();
      if (at.copied < 0) return new Set([...(at.word.length < this.longest ? this.letters : []), this.separator]);
      return new Set([at.copied < at.word.length ? at.word[at.copied] : "<eos>"]);
    }
    isLive(at) {
      return at !== null;
    }
    show(at) {
      if (at === null) return "nothing to copy: the word has died";
      const word = at.word.join(" ") || "empty";
      return at.copied < 0 ? `word so far: ${word}` : `word ${word}, ${at.copied} of ${at.word.length} letters copied`;
    }
  }

  class CounterTruth {
    constructor(about) {
      Object.assign(this, about);
      this.start = { state: this.initial, values: this.counters.map((c) => c.initial) };
    }
    _holds(tests, values) {
      return this.counters.every((counter, i) => {
        if (!has(tests, counter.name)) return true;
        const test = tests[counter.name];
        const v = values[i];
        return test === "zero" ? v === 0 : test === "nonzero" ? v !== 0 : test === "positive" ? v > 0 : v < 0;
      });
    }
    _move(at, symbol) {
      if (at === null || !has(this.transitions, at.state) || !has(this.transitions[at.state], symbol)) return null;
      const step = this.transitions[at.state][symbol];
      return this._holds(step.when, at.values) ? step : null;
    }
    step(at, symbol) {
      const step = this._move(at, symbol);
      if (step === null) return null;
      const added = (counter) => (has(step.add, counter.name) ? step.add[counter.name] : 0);
      return { state: step.to, values: this.counters.map((c, i) => at.values[i] + added(c)) };
    }
    allowed(at) {
      const found = new Set(this.alphabet.filter((symbol) => this._move(at, symbol) !== null));
      if (at !== null && has(this.accepting, at.state) && this._holds(this.accepting[at.state], at.values)) found.add("<eos>");
      return found;
    }
    isLive(at) {
      return at !== null;
    }
    show(at) {
      if (at === null) return "no such configuration: the word has died";
      return `control ${at.state}, ${this.counters.map((c, i) => `${c.name} = ${at.values[i]}`).join(", ")}`;
    }
  }

  // Automata side by side: the state of each, and an expression over their answers. Except for unions it only knows
  // whether the word may end.
  class CombinationTruth {
    constructor(about) {
      Object.assign(this, about);
      this.parts = about.leaves.map((leaf) => new DfaTruth(leaf));
      this.start = this.parts.map((part) => part.start);
      this.isUnion = this._union(about.expression);
    }
    _union(node) {
      return typeof node === "number" || (node.operator === "any" && node.parts.every((part) => this._union(part)));
    }
    _value(node, answers) {
      if (typeof node === "number") return answers[node];
      const found = node.parts.map((part) => this._value(part, answers));
      return node.operator === "all" ? found.every(Boolean) : node.operator === "any" ? found.some(Boolean) : !found[0];
    }
    step(states, symbol) {
      return states.map((state, i) => this.parts[i].step(state, symbol));
    }
    allowed(states) {
      const each = states.map((state, i) => this.parts[i].allowed(state));
      const tokens = this.isUnion ? [...this.alphabet, "<eos>"] : ["<eos>"];
      return new Set(tokens.filter((token) => this._value(this.expression, each.map((set) => set.has(token)))));
    }
    isLive(states) {
      return !this.isUnion || states.some((state, i) => this.parts[i].isLive(state));
    }
    show(states) {
      return `states ${states.map((state, i) => this.parts[i].names[state]).join(", ")}`;
    }
  }

  // A past formula: whether each node holds now, from the letter and from what held one position earlier.
  class PastTruth {
    constructor(about) {
      Object.assign(this, about);
      this.start = this._after(null, "<bos>");
    }
    _after(before, letter) {
      const now = [];
      const begins = before === null || before.begins;
      this.nodes.forEach(([operator, first, second], n) => {
        const value = {
          letters: () => first.includes(letter),
          not: () => !now[first],
          and: () => first.every((i) => now[i]),
          or: () => first.some((i) => now[i]),
          Y: () => !begins && before.now[first],
          S: () => before !== null && (now[second] || (now[first] && before.now[n])),
        }[operator];
        now.push(value());
      });
      return { now, begins: before === null };
    }
    step(at, symbol) {
      return this._after(at, symbol);
    }
    allowed(at) {
      return new Set(at.now[at.now.length - 1] ? ["<eos>"] : []);
    }
    isLive() {
      return true;
    }
    show(at) {
      const held = this.texts.filter((_, n) => at.now[n] && this.nodes[n][0] === "S");
      return held.length ? `holds: ${held.join("; ")}` : "no since holds";
    }
  }

  const kinds = {
    dfa: DfaTruth,
    moore: MooreTruth,
    bounded_dyck: StackTruth,
    nested: NestedTruth,
    copying: CopyTruth,
    counter_machine: CounterTruth,
    combination: CombinationTruth,
    past_ltl: PastTruth,
  };
  const of = (language) => new kinds[language.kind](language);

  return { of };
})();
