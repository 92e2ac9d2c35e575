// One channel at one symbol, with all its numbers; and what a channel says when it is pointed at.
"use strict";

const Channel = (() => {
  const { page, session, now, $, record, element, row, shown, brief, visible, featureName, channelName } = View;
  const MOST_TERMS = 3; // of a sum that are shown though some are 0
  const ROLES = {
    condition: "finds something out for other channels",
    feature: "writes what it sees into the residual stream",
    memory: "shows one label of a memory",
    latch: "remembers a value until it is overwritten",
    counter: "adds up, and never forgets",
  };

  const signed = (value) => (value < 0 ? `(${shown(value)})` : shown(value));
  const pieces = (...parts) => {
    const made = element("span", null, "sum");
    made.append(...parts.map((part) => (typeof part === "string" ? visible(part) : part)));
    return made;
  };

  // weight × value, with what the value is; a term that is 0 is faint.
  function product(weight, value, name) {
    const made = element("span", `${signed(weight)} × ${signed(value)}`, `term${weight * value === 0 ? " zero" : ""}`);
    if (name) made.append(element("i", View.short(name, 90)));
    return made;
  }

  function sum(terms, nameOf, bias) {
    const few = terms.length > MOST_TERMS ? terms.filter((term) => term.weight * term.value !== 0) : terms;
    const parts = few.map((term) => product(term.weight, term.value, nameOf(term)));
    if (few.length < terms.length) parts.push(element("span", `${terms.length - few.length} terms of 0`, "term zero"));
    if (bias) parts.push(element("span", signed(bias), "term"));
    return pieces(...(parts.length ? parts.flatMap((part, i) => (i ? [" + ", part] : [part])) : ["0"]));
  }

  const around = (name, inner) => pieces(`${name}( `, inner, " )");

  function equation(body, left, right, value, classes) {
    const line = row(body, [element("th", left, "left", { scope: "row" }), element("td", null, "right"), element("td", value === null ? "" : `= ${shown(value)}`, "value")]);
    line.children[1].append(right);
    if (classes) line.className = classes;
    return line;
  }

  const memoryOf = (b, c) => page.memories.find((one) => one.block === b && one.channels.some((holder) => holder.index === c));

  // What a step adds to the state.
  function written(found, state, B) {
    const made = element("span", `(${shown(found.delta.value)} × ${signed(state.B)}) × ${signed(found.x)}`, `term${found.delta.value * state.B * found.x === 0 ? " zero" : ""}`);
    made.append(element("i", `(Δ × ${B}) × x`));
    return made;
  }

  const sub = (name, n, many) => (many ? `${name}${[...String(n)].map((d) => "₀₁₂₃₄₅₆₇₈₉"[d]).join("")}` : name);

  function drawEquations() {
    const target = $("equations");
    target.replaceChildren();
    const block = page.blocks[now.block];
    if (!block || now.channel === null) return;
    const b = now.block;
    const found = Trace.channel(session, now.here, b, now.channel);
    const { normed } = record().parts[b];
    const feature = (term) => (View.turned ? `dimension ${term.at}` : featureName(term.at, b));
    const meant = (term) => featureName(term.at, b);
    const read = (name, terms) => View.turned && terms.length && equation(body, name, sum(View.byFeature(terms, normed), meant), null, "meant");
    const own = (term) => channelName(b, term.at);
    const body = document.createElement("tbody");
    const last = found.taps[found.taps.length - 1];
    equation(body, "u", sum(found.reads, feature), last.value).title = "what it reads of the residual stream, normed";
    read("that is", found.reads);
    const taps = found.taps.filter((tap) => tap.weight !== 0).map((tap) => ({ ...tap, name: tap.back ? `u, ${tap.back} before` : "u" }));
    equation(body, "x", around("silu", sum(taps, (tap) => tap.name, found.bias)), found.x);
    const falcon = session.model.about.type === "falcon_mamba"; // there dt, B and C are divided by their root mean square
    const projected = (terms) => (falcon ? around("normed", sum(terms, own)) : sum(terms, own));
    const lowRank = new Map();
    for (const term of [...found.delta.terms, ...(found.sign ? found.sign.terms : [])]) if (term.from) lowRank.set(term.at, term);
    for (const [r, term] of lowRank) equation(body, sub("dt", r, true), projected(term.from), term.value);
    const dt = (term) => (lowRank.size ? sub("dt", term.at, true) : feature(term));
    equation(body, "Δ", around("softplus", sum(found.delta.terms, dt, found.delta.bias)), found.delta.value);
    if (found.sign) equation(body, "sign", around("tanh", sum(found.sign.terms, dt, found.sign.bias)), found.sign.value);
    const memory = memoryOf(b, now.channel);
    const entry = memory ? memory.entry : 0;
    const states = found.states.filter((state) => state.n === entry || state.h !== 0 || state.before !== 0); // others add 0
    const several = found.states.length > 1;
    for (const state of states) {
      const named = (name) => sub(name, state.n, several);
      if (state.fromB && state.fromB.length) equation(body, named("B"), projected(state.fromB), state.B);
      if (state.fromC && state.fromC.length) equation(body, named("C"), projected(state.fromC), state.C);
      const gate = around("exp", product(found.delta.value, state.A, `Δ × ${named("A")}`));
      equation(body, named("a"), found.sign ? pieces("sign × ", gate) : gate, state.gate).title = "the gate: 1 keeps, 0 forgets";
      equation(body, named("h"), pieces(product(state.gate, state.before, `${named("a")} × ${named("h")} before`), " + ", written(found, state, named("B"))), state.h);
    }
    const parts = states.map((state) => product(state.C, state.h, `${sub("C", state.n, several)} × ${sub("h", state.n, several)}`));
    const both = [...parts, product(found.D, found.x, "D × x")].flatMap((part, i) => (i ? [" + ", part] : [part]));
    equation(body, "y = C h + D x", pieces(...both), found.y, "main");
    equation(body, "z", around("silu", sum(found.gate.terms, feature)), found.gate.value);
    read("that is", found.gate.terms);
    equation(body, "y · z", product(found.y, found.gate.value, "y × z"), found.product);
    if (found.gated !== found.product) equation(body, "normed", "by the root mean square over all channels, times the norm's weight", found.gated);
    const into = (name, weight, value) => {
      const line = row(body, [element("th", "writes", "left", { scope: "row" }), element("td", null, "right"), element("td", `= ${shown(value)}`, "value")]);
      line.children[1].append(product(weight, found.gated, `to ${name}`));
    };
    for (const term of View.byFeature(found.writes, null, "read")) into(featureName(term.at, b + 1), term.weight, Math.fround(term.weight * found.gated));
    if (!found.writes.length) equation(body, "writes", "nothing: only other channels of its block look at it", null);
    target.append(body);
  }

  // -- what, why, weight ------------------------------------------------------------------------------------------------

  const list = (terms, nameOf) => terms.map((term) => `${shown(term.weight)} · ${brief(nameOf(term))}`).slice(0, 6).join(" + ") + (terms.length > 6 ? ` + ${terms.length - 6} more` : "");

  function why(found, role, b, memory) {
    const seen = View.byFeature(found.reads, record().parts[b].normed).filter((term) => term.value !== 0).map((term) => `${brief(featureName(term.at, b))} is ${shown(term.value)}`);
    const sees = !found.reads.length ? "it reads nothing, so x never changes" : seen.length ? seen.slice(0, 6).join(", ") : "nothing that it reads is set now";
    if (role === "condition" || role === "feature") return `x = ${shown(found.x)}${found.x > 0 ? "" : ": it is silent"}; ${sees}`;
    const state = found.states[memory ? memory.entry : 0];
    const done = state.gate === 1 ? (state.h === state.before ? "keeps" : "adds to") : state.gate === 0 ? "forgets" : state.gate === -1 ? "turns over" : "shrinks";
    const gate = `gate ${shown(state.gate)} ${done} the state ${shown(state.before)}`;
    return `${gate}${state.h === state.before ? "" : `, which becomes ${shown(state.h)}`}; y = ${shown(found.y)}, let through by z = ${shown(found.gate.value)}`;
  }

  // What a channel is, why it holds what it holds at this symbol, and its weights: pairs of heading and text.
  function says(b, c) {
    const channel = page.blocks[b].channels.find((one) => one.index === c);
    const memory = memoryOf(b, c);
    const found = Trace.channel(session, now.here, b, c);
    const [taken, given] = [View.byFeature(found.reads), View.byFeature(found.writes, null, "read")];
    const reads = taken.length ? `reads ${list(taken, (term) => featureName(term.at, b))}` : `reads nothing but its bias ${shown(found.bias)}`;
    const writes = given.length ? `writes ${list(given, (term) => featureName(term.at, b + 1))}` : "writes nothing";
    return [
      ["what", `channel ${c}, ${channel.role}: ${channel.meaning}; it ${ROLES[channel.role]}`],
      ["why", why(found, channel.role, b, memory)],
      ["weight", `${reads}; ${writes}`],
    ];
  }

  function described(pairs) {
    const made = element("dl", null, "says");
    for (const [name, text] of pairs) made.append(element("dt", name), element("dd", text));
    return made;
  }

  function drawText() {
    const channel = page.blocks[now.block] && now.channel !== null;
    $("channel-text").replaceChildren(channel ? described(says(now.block, now.channel)) : element("p", "This model has no channels with a meaning."));
  }

  // -- the tip ----------------------------------------------------------------------------------------------------------

  function showTip(dot) {
    const tip = $("tip");
    tip.replaceChildren(described(says(Number(dot.dataset.block), Number(dot.dataset.channel))));
    tip.hidden = false;
    const [box, room] = [dot.getBoundingClientRect(), document.documentElement.clientWidth];
    tip.style.left = `${Math.max(8, Math.min(box.left, room - tip.offsetWidth - 8))}px`;
    const below = box.bottom + 8;
    tip.style.top = `${below + tip.offsetHeight > window.innerHeight ? Math.max(8, box.top - tip.offsetHeight - 8) : below}px`;
    dot.setAttribute("aria-describedby", "tip");
  }

  function hideTip() {
    $("tip").hidden = true;
    for (const dot of document.querySelectorAll("[aria-describedby=tip]")) dot.removeAttribute("aria-describedby");
  }

  // -- choosing ---------------------------------------------------------------------------------------------------------

  // The channel that is looked into; without one, the first of the block that remembers something.
  function choose(b, c) {
    const block = page.blocks[b];
    const memory = page.memories.find((one) => one.block === b);
    now.block = b;
    now.channel = !block || !block.channels.length ? null : c !== undefined ? c : memory ? memory.channels[0].index : block.channels[0].index;
    $("block").value = b;
    $("channel").replaceChildren(...(block ? block.channels.map((one) => element("option", `${one.index}, ${one.role}: ${View.short(one.meaning, 70)}`, "", { value: one.index })) : []));
    if (now.channel !== null) $("channel").value = now.channel;
  }

  return { choose, drawEquations, drawText, showTip, hideTip };
})();
