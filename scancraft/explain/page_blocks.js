// What is lit as the word is read: the language's own state, and the memories of the model, block by block.
"use strict";

const Lit = (() => {
  const { page, session, now, $, record, element, row, shown, brief, short, visible, featureName, channelName, coloured } = View;
  const MOST_EVENTS = 8; // conditions of a memory that are listed; of more, those that hold
  const MOST_MEMORIES = 40; // of a block
  const MOST_DOTS = 160; // channels of a block
  const MOST_PARTS = 30; // of a formula that are listed
  const MOST_TEXT = 140; // characters of a condition

  // -- the language -----------------------------------------------------------------------------------------------------

  // Automata that are drawn: the state and the edge that led there.
  function light(figure, before, at) {
    for (const state of figure.querySelectorAll(".state")) state.classList.toggle("lit", Number(state.dataset.state) === at);
    for (const edge of figure.querySelectorAll(".edge")) {
      const taken = before !== null && Number(edge.dataset.from) === before && Number(edge.dataset.to) === at;
      edge.classList.toggle("lit", taken);
    }
  }

  function lightPicture(figure, truth, before, at) {
    light(figure, before, at);
    const ends = truth.outputs ? `class ${truth.outputs[at].slice(7, -1)}` : truth.final.has(at) ? "accepting: the word may end here" : truth.live.has(at) ? "not accepting" : "dead: nothing completes the word";
    const which = page.language.kind === "combination" ? `${figure.dataset.part}: ` : "";
    figure.querySelector("figcaption").textContent = visible(`${which}state ${truth.names[at]}, ${ends}`);
  }

  // An automaton that is too large to draw: where its current state leads.
  function stateTable(truth, at) {
    const made = element("table", null, "plain");
    const head = document.createElement("thead");
    row(head, [element("th", `from state ${short(truth.names[at], 40)} with`, "name"), element("th", "to state", "name"), element("th", "", "name")]);
    const body = document.createElement("tbody");
    const byTarget = new Map();
    truth.alphabet.forEach((symbol, a) => byTarget.set(truth.table[at][a], [...(byTarget.get(truth.table[at][a]) || []), symbol]));
    for (const [target, symbols] of byTarget) {
      const kind = truth.final.has(target) ? "accepting" : truth.live.has(target) ? "" : "dead";
      row(body, [element("td", short(symbols.join(" "), 60), "name"), element("td", short(truth.names[target], 40), "name"), element("td", kind, "name")]);
    }
    made.append(head, body);
    return [element("p", `${truth.names.length} states are too many to draw; the word has led to state ${truth.names[at]}.`, "help"), made];
  }

  function stack(truth, at) {
    const box = element("div", null, "stack", { role: "img", "aria-label": truth.show(at) });
    const most = Math.min(truth.depth, 40);
    for (let level = 0; level < most; level++) {
      const kind = at && level < at.length ? at[level] : null;
      box.append(element("span", kind === null ? "" : truth.brackets[kind][0], kind === null ? "place" : "place lit"));
    }
    const note = at === null ? "the word has died" : `${at.length} open, at most ${truth.depth}`;
    return [box, element("p", note, "help")];
  }

  function levels(at) {
    const chips = element("div", null, "chips");
    (at || []).forEach((state, depth) => chips.append(element("span", state, `chip${depth === at.length - 1 ? " lit" : ""}`)));
    return [chips, element("p", at === null ? "the word has died" : `depth ${at.length - 1}, at most ${page.language.depth}`, "help")];
  }

  const TESTS = { zero: "= 0", nonzero: "≠ 0", positive: "> 0", negative: "< 0" };

  // The control: lit in its picture, or as chips where it is too large to draw; and the counters.
  function counters(truth, at, before) {
    const figure = document.querySelector('figure[data-part="0"]');
    const number = (one) => (one ? truth.states.indexOf(one.state) : -1);
    const states = element("div", null, "chips");
    if (figure) {
      light(figure, before === null ? null : number(before), number(at));
      const tests = at && truth.accepting[at.state];
      const ends = !at ? "the word has died" : !tests ? "no word ends here" : ["a word may end here", ...Object.entries(tests).map(([name, test]) => `${name} ${TESTS[test]}`)].join(" if ").replace(/( if .*?) if /g, "$1 and ");
      figure.querySelector("figcaption").textContent = visible(at ? `control state ${at.state}: ${ends}` : ends);
    } else for (const state of truth.states) states.append(element("span", state, `chip${at && at.state === state ? " lit" : ""}`));
    const values = element("div", null, "chips");
    truth.counters.forEach((counter, i) => {
      const chip = element("span", `${counter.name} = ${at ? at.values[i] : "?"}`, `chip${at && at.values[i] !== 0 ? " lit" : ""}`);
      values.append(chip);
    });
    const control = figure ? [] : [element("p", "control state", "help"), states];
    return [...control, element("p", at ? "counters" : "counters; the word has died", "help"), values];
  }

  // A formula: its parts, the whole one last; lit are those that hold at the end of the word so far.
  function formula(truth, at) {
    const list = element("ul", null, "events");
    truth.texts.slice(-MOST_PARTS).forEach((text, i) => {
      const holds = at.now[truth.texts.length - Math.min(MOST_PARTS, truth.texts.length) + i];
      const item = element("li", null, holds ? "lit" : "", { title: text });
      item.append(element("span", holds ? "holds now: " : "does not hold now: ", "hidden"), visible(short(text, MOST_TEXT)));
      list.append(item);
    });
    return [list];
  }

  const rest = element("div");

  function drawLanguage() {
    const { truth } = session;
    const [at, before] = [record().at, now.here > 0 ? session.records[now.here - 1].at : null];
    const parts = truth.parts || [truth];
    rest.replaceChildren();
    if (page.language.kind === "bounded_dyck") return rest.append(...stack(truth, at));
    if (page.language.kind === "nested") return rest.append(...levels(at));
    if (page.language.kind === "copying") return rest.append(element("p", truth.show(at)));
    if (page.language.kind === "past_ltl") return rest.append(...formula(truth, at));
    if (page.language.kind === "counter_machine") return rest.append(...counters(truth, at, before));
    parts.forEach((part, i) => {
      const figure = document.querySelector(`figure[data-part="${i}"]`);
      const [state, last] = truth.parts ? [at[i], before === null ? null : before[i]] : [at, before];
      if (figure) lightPicture(figure, part, last, state);
      else if (i < 12) rest.append(...stateTable(part, state));
    });
    if (truth.parts) {
      const answers = parts.map((part, i) => `${i}: ${part.final.has(at[i]) ? "yes" : "no"}`).join(", ");
      rest.prepend(element("p", `Answers of the automata: ${answers}; together: ${truth.allowed(at).has("<eos>") ? "yes" : "no"}.`, "answers"));
    }
  }

  const operators = (node) => (typeof node === "number" ? String(node) : node.operator === "not" ? `not ${operators(node.parts[0])}` : `(${node.parts.map(operators).join(node.operator === "all" ? " and " : " or ")})`);

  function openLanguage() {
    $("language").append(rest);
    const help = {
      moore: "Its minimal machine: each state with its class. Lit: the state that the word has led to, and the edge of the last symbol.",
      dfa: "Its minimal automaton. Lit: the state that the word has led to, and the edge of the last symbol. A double ring accepts.",
      bounded_dyck: "Brackets that are open, the first on the left.",
      copying: "The word, and how much of it has been copied.",
      nested: "The state of each level that is open, the outermost first; a level around another one waits in its state after that.",
      counter_machine: "Its control, with what each symbol adds and under which test, and its own counters, beside those of the model.",
      past_ltl: `The words at whose end this holds: ${short((page.language.texts || [""]).slice(-1)[0], 200)}.`,
      combination: `The words for which this holds of the automata below, each with its own state lit: ${short(operators(page.language.expression || 0), 200)}.`,
    };
    const drawn = !["dfa", "moore"].includes(page.language.kind) || document.querySelector("figure[data-part]");
    $("language-help").textContent = drawn ? visible(help[page.language.kind]) : "Its minimal automaton, as far as the word has led.";
  }

  // -- the model --------------------------------------------------------------------------------------------------------

  // The value that a memory holds, among those that it can hold.
  function values(memory, held) {
    const box = element("div", null, "values");
    const now = new Set(held.split(" or "));
    if (!memory.values.length) {
      const number = Number(held);
      box.append(element("span", Number.isNaN(number) ? held : shown(number), `value lit ${coloured(number)}`));
      return box;
    }
    for (const value of memory.values) {
      const lit = now.has(String(value));
      const chip = element("span", null, `value${lit ? ` lit ${coloured(value)}` : ""}`);
      chip.append(element("strong", value));
      if (memory.meanings && memory.meanings[value]) chip.append(element("i", brief(memory.meanings[value])));
      box.append(chip);
    }
    return box;
  }

  // Of a cascade: the set that the levels above have come to, and which of its tiles this level's memory picks.
  function tiles(memory, held) {
    const before = View.activeSet(record(), memory.block, false);
    const after = View.activeSet(record(), memory.block, true);
    if (!before || !after) return null;
    const known = (page.sets[memory.block] || {})[before];
    const box = element("div", null, "values tiles");
    box.append(element("span", brief(before), "value from", { title: before }), element("span", "→", "arrow", { "aria-label": "to" }));
    const choices = known ? Object.entries(known) : [];
    if (!choices.some(([, tile]) => tile === after)) {
      box.append(element("span", before === after ? `${brief(after)} stays` : brief(after), "value lit v1", { title: after }));
      return box;
    }
    for (const [label, tile] of choices) {
      const chip = element("span", null, `value${tile === after ? ` lit ${coloured(Number(label))}` : ""}`, { title: tile });
      chip.append(element("strong", label), element("i", brief(tile)));
      box.append(chip);
    }
    return box;
  }

  function events(memory) {
    const all = Trace.deciding(session, now.here, memory);
    const few = all.length > MOST_EVENTS ? all.filter((event) => event.holds) : all;
    const list = element("ul", null, "events");
    for (const event of few) {
      const text = event.dimension === undefined ? channelName(memory.block, event.channel) : featureName(event.dimension, memory.block);
      const item = element("li", null, event.holds ? "lit" : "");
      item.append(element("span", event.holds ? "holds now: " : "does not hold now: ", "hidden"), visible(short(text, MOST_TEXT)));
      item.title = visible(text);
      list.append(item);
    }
    if (few.length < all.length) list.append(element("li", `${all.length - few.length} other conditions do not hold`, "more"));
    return list;
  }

  const FATES = { kept: "kept", written: "written", swapped: "turned over" };

  function memoryCard(memory, m) {
    const card = element("div", null, "cell");
    const done = Trace.fate(session, now.here, memory);
    const fate = typeof done === "number" ? `${done > 0 ? "+" : ""}${shown(done)}` : FATES[done] || "";
    const head = element("p", null, "cell-name");
    head.append(element("span", memory.name === page.blocks[memory.block].title ? `memory of ${memory.name}` : memory.name));
    if (fate) head.append(element("span", fate, `fate ${fate === "kept" ? "" : "lit"}`));
    const held = record().held[m];
    const shape = memory.kind === "level" ? tiles(memory, held) : null;
    card.append(head, shape || values(memory, held), events(memory));
    card.dataset.memory = m;
    return card;
  }

  function channelDots(block) {
    const part = record().parts[block.index];
    const box = element("div", null, "dots", { role: "group", "aria-label": `channels of block ${block.index}` });
    for (const channel of block.channels.slice(0, MOST_DOTS)) {
      const active = part.x[channel.index] !== 0 && (channel.role === "condition" || part.gated[channel.index] !== 0);
      const dot = element("button", channel.index, `dot ${channel.role}${active ? " lit" : ""}`, {
        type: "button", "aria-label": `channel ${channel.index}, ${channel.role}: ${short(channel.meaning, 90)}`,
      });
      dot.dataset.block = block.index;
      dot.dataset.channel = channel.index;
      if (block.index === now.block && channel.index === now.channel) dot.setAttribute("aria-pressed", "true");
      box.append(dot);
    }
    if (block.channels.length > MOST_DOTS) box.append(element("span", `and ${block.channels.length - MOST_DOTS} more, in the list below`, "help"));
    return box;
  }

  function drawBlocks() {
    const focused = document.activeElement && document.activeElement.classList.contains("dot") ? { ...document.activeElement.dataset } : null;
    const cards = page.blocks.map((block) => {
      const card = element("article", null, "block", { "aria-label": `block ${block.index}` });
      const title = element("h3", null);
      title.append(element("span", `block ${block.index}`, "number"), ` ${visible(block.title)}`);
      card.append(title);
      const mine = page.memories.map((memory, m) => [memory, m]).filter(([memory]) => memory.block === block.index);
      card.append(...mine.slice(0, MOST_MEMORIES).map(([memory, m]) => memoryCard(memory, m)));
      if (mine.length > MOST_MEMORIES) card.append(element("p", `${mine.length - MOST_MEMORIES} more memories are in the table below.`, "help"));
      if (!mine.length) {
        const held = Trace.conditions(session.model, block.index, block.channels).filter((c) => Trace.holds(record().parts[block.index], c));
        const list = element("ul", null, "events");
        list.append(...held.slice(0, MOST_EVENTS).map((c) => element("li", short(channelName(block.index, c.channels[0]), MOST_TEXT), "lit")));
        card.append(element("p", held.length ? "remembers nothing; finds now:" : "remembers nothing, and finds nothing now", "help"), list);
      }
      card.append(channelDots(block));
      if (block.index === now.block && now.channel !== null) card.append(element("button", `numbers of channel ${now.channel} ↓`, "to-numbers", { type: "button" }));
      return card;
    });
    if (!cards.length) cards.push(element("p", "The one block of this model adds nothing: the symbol alone tells what may come next.", "help"));
    $("blocks").replaceChildren(...cards);
    if (focused) {
      const dot = document.querySelector(`.dot[data-block="${focused.block}"][data-channel="${focused.channel}"]`);
      if (dot) dot.focus({ preventScroll: true });
    }
  }

  return { openLanguage, drawLanguage, drawBlocks };
})();
