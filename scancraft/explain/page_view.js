// What is shown as tables. Everything that comes from the checkpoint is set as text, never as markup, and control
// characters in it as escapes.
"use strict";

const View = (() => {
  const COLUMNS = 120;
  const TEXTS = new Set(["token", "feature", "channel", "role", "made of (feature × weight)"]); // columns of text
  const page = Scancraft.open(JSON.parse(document.getElementById("data").textContent));
  const session = new Scancraft.Session(page);
  const $ = (id) => document.getElementById(id);
  const now = { here: 0, block: 0, channel: null }; // the position in the word, and the channel that is looked into
  const predicts = page.contract !== "recognise" && page.contract !== "outputs"; // whether it says what may come next
  const outputs = [...(predicts ? page.alphabet : []), ...(page.contract === "outputs" ? [] : ["<eos>"]), ...page.classes];

  // -- text -------------------------------------------------------------------------------------------------------------

  // Control characters and marks of direction as escapes.
  const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
  const visible = (text) => String(text).replace(UNPRINTABLE, (ch) => `\\u${ch.charCodeAt(0).toString(16).padStart(4, "0")}`);

  function element(tag, text, classes, attributes) {
    const made = document.createElement(tag);
    if (text !== undefined && text !== null) made.textContent = visible(text);
    if (classes) made.className = classes;
    for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, visible(value));
    return made;
  }

  function row(parent, cells) {
    const made = document.createElement("tr");
    made.append(...cells);
    parent.append(made);
    return made;
  }

  function table(target, headings) {
    target.replaceChildren();
    const head = document.createElement("thead");
    row(head, headings.map((text) => element("th", text, TEXTS.has(text) ? "name" : "", { scope: "col" })));
    const body = document.createElement("tbody");
    target.append(head, body);
    return body;
  }

  const raised = (number) => [...String(number)].map((ch) => "⁰¹²³⁴⁵⁶⁷⁸⁹"["0123456789".indexOf(ch)] || "⁻").join("");

  // The shortest decimal that gives the float32 back; the true minus sign for people.
  function shown(value) {
    if (Object.is(value, -0) || value === 0) return "0";
    if (!Number.isFinite(value)) return String(value).replace("-", "−");
    const sign = value < 0 ? "−" : "";
    const power = Math.log2(Math.abs(value));
    if (Number.isInteger(power) && (power >= 14 || power <= -5)) return `${sign}2${raised(power)}`;
    let text = String(value);
    for (let digits = 1; digits < 10; digits++) {
      const shorter = Number(value.toPrecision(digits));
      if (Math.fround(shorter) === value) {
        text = String(shorter);
        break;
      }
    }
    const [mantissa, exponent] = text.replace("-", "−").split("e");
    return exponent === undefined ? mantissa : `${mantissa}·10${raised(exponent.replace("+", ""))}`;
  }

  // A set of many states, cut short; the whole name is in the title.
  const brief = (set) => (set.length > 60 ? `${set.slice(0, 44)}… (${set.split(/[,|]/).length} states)` : set);
  const short = (text, most = 16) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  const difference = (later, earlier) => Math.fround(later - earlier);
  const symbolAt = (t) => (t === 0 ? "<bos>" : Scancraft.shown(session.word[t - 1]));
  const record = () => session.records[now.here];

  // -- names ------------------------------------------------------------------------------------------------------------

  // What slots stand for, by number; only blocks of a cascade have any.
  function slotNames(block, after) {
    const { slots_before: before, slots_after: end } = page.blocks[block];
    return (after ? end : before) || {};
  }

  // The features of the residual stream: dimensions, or, where the stream was turned, directions in it, whose values are
  // read off with one vector and written with another.
  const turned = page.directions.length > 0;
  const features = turned ? page.directions : page.residual.map((dimension, at) => ({ ...dimension, at }));
  const dot = (pairs, vector) => pairs.reduce((sum, value, d) => sum + value * vector[d], 0);
  const valueOf = (feature, vector) => (turned ? dot(feature.read, vector) : vector[feature.at]);

  // A sum over dimensions as one over features: of what is read of the stream, or (along: "read") of what is written.
  function byFeature(terms, vector, along) {
    if (!turned) return terms;
    return features
      .map((feature, at) => ({ at, weight: terms.reduce((sum, term) => sum + term.weight * feature[along || "write"][term.at], 0), value: vector ? valueOf(feature, vector) : 0 }))
      .filter((term) => term.weight !== 0);
  }

  const slots = new Map(features.filter((feature) => feature.kind === "slot").map((feature) => [feature.number, feature]));

  // The set of states that a slot of the residual stream stands for, at a block's input or output.
  function activeSet(at, block, after) {
    const stream = at.streams[block + (after ? 1 : 0)];
    const names = slotNames(block, after);
    const found = Object.keys(names).filter((slot) => slots.has(Number(slot)) && valueOf(slots.get(Number(slot)), stream) !== 0);
    return found.map((slot) => names[slot]).join(" and ");
  }

  // What a feature means after so many blocks; slots and indicators change their meaning from block to block.
  function featureName(place, blocksDone) {
    const { kind, name, number } = features[place];
    if (!page.blocks.length || number === undefined) return name;
    const block = page.blocks[blocksDone === 0 ? 0 : blocksDone - 1];
    if (kind === "indicator") return ((blocksDone === 0 ? block.indicators_before : block.indicators_after) || {})[number] || name;
    const set = slotNames(block.index, blocksDone > 0)[number];
    return kind !== "slot" || set === undefined ? name : `${name} = ${set}`;
  }

  const channelName = (block, c) => {
    const found = page.blocks[block].channels.find((channel) => channel.index === c);
    return found ? found.meaning : `channel ${c}`;
  };

  function meaningOf(memory, index, at, cut) {
    const value = at.held[index];
    if (memory.meanings) return `${memory.name}: ${value}, ${memory.meanings[value] || "?"}`;
    if (memory.kind !== "level") return `${memory.name}: ${value}`;
    const [before, after] = [false, true].map((end) => cut(activeSet(at, memory.block, end)));
    const holds = `block ${memory.block}, ${memory.name}: the memory is ${value}`;
    if (!before || !after) return holds;
    return before === after ? `${holds}; ${before} stays` : `${holds}; of ${before} it picks ${after}`;
  }

  const coloured = (number) => (!Number.isInteger(number) ? "" : number === 0 ? "v0" : `v${1 + ((Math.abs(number) - 1) % 7)}`);

  // -- the word ---------------------------------------------------------------------------------------------------------

  function columns() {
    const last = session.records.length - 1;
    const first = last < COLUMNS ? 0 : Math.max(0, Math.min(now.here - COLUMNS / 2, last - COLUMNS + 1));
    return Array.from({ length: Math.min(last + 1, COLUMNS) }, (_, i) => first + i);
  }

  // Bring the element at the position into sight, inside its own box only.
  function centre(box, target) {
    if (!target || target.offsetLeft === undefined) return;
    const [left, right] = [target.offsetLeft, target.offsetLeft + target.offsetWidth];
    if (right > box.scrollLeft + box.clientWidth - 20 || left < box.scrollLeft + Math.min(180, box.clientWidth / 2)) {
      box.scrollLeft = left - box.clientWidth * 0.6;
    }
  }

  function drawTape() {
    $("tape").replaceChildren(
      ...columns().map((t) => {
        const label = `position ${t}: ${symbolAt(t)}`;
        const cell = element("button", t === 0 ? "▸" : short(symbolAt(t), 12), `letter${t === now.here ? " here" : t < now.here ? " read" : ""}`, {
          type: "button", tabindex: "-1", "aria-label": label, title: label,
        });
        if (t === now.here) cell.setAttribute("aria-current", "step");
        cell.dataset.t = t;
        return cell;
      }),
    );
    centre($("tape"), $("tape").querySelector(".here"));
  }

  // What the model says: tokens whose logits are positive, and the class whose logit is greater than all others.
  function saidAt(at) {
    const logit = (token) => at.logits[page.tokens.get(token)];
    const greatest = page.classes.filter((token) => page.classes.every((other) => logit(token) >= logit(other)));
    const said = outputs.filter((token) => !page.classes.includes(token) && logit(token) > 0);
    return new Set(greatest.length === 1 ? [...said, ...greatest] : said);
  }

  const accepted = (set) => (page.contract === "outputs" ? "" : set.has("<eos>") ? "in the language" : page.contract === "recognise" ? "not in the language" : set.size ? "not in it yet" : "no prefix of a word");

  function drawVerdict() {
    const at = record();
    const model = saidAt(at);
    const wrong = outputs.filter((token) => model.has(token) !== at.allowed.has(token));
    const list = (set) => outputs.filter((token) => set.has(token)).join(" ") || "nothing";
    const next = (set) => (page.contract === "outputs" ? list(set) : predicts ? `; next: ${list(set)}` : "");
    const prefix = Scancraft.formatWord(session.word.slice(0, now.here), page) || "the empty word";
    const shownPrefix = prefix.length > 60 ? `…${prefix.slice(-60)}` : prefix;
    const outside = page.contract === "live-prefixes" && !session.truth.isLive(at.at);
    const [text, kind] = outside
      ? ["This prefix cannot be completed: the contract “live-prefixes” promises nothing here.", "no"]
      : wrong.length ? [`They disagree on ${wrong.join(" ")}.`, "wrong"] : ["They agree.", "yes"];
    const after = element("p", "After ");
    after.append(element("span", shownPrefix, "word"));
    const line = (who, set, more, classes) => {
      const made = element("p", null, classes);
      made.append(element("span", who, "who"), ` ${visible(`${more}${accepted(set)}${next(set)}`)}`);
      return made;
    };
    $("verdict").replaceChildren(
      after,
      line("Language", at.allowed, `${session.truth.show(at.at)}; `, "truth"),
      line("Model", model, "", "model"),
      element("p", text, kind),
    );
    $("where").textContent = `${now.here} of ${session.word.length}: ${visible(symbolAt(now.here))}`;
    for (const button of $("symbols").children) {
      const may = model.has(button.dataset.symbol);
      if (!predicts) continue;
      button.classList.toggle("may", may);
      button.title = visible(`${button.dataset.symbol} ${may ? "may" : "may not"} come next`);
    }
  }

  // -- tables -----------------------------------------------------------------------------------------------------------

  function drawLogits() {
    const at = record();
    const before = now.here > 0 ? session.records[now.here - 1] : null;
    const body = table($("logits"), ["token", "language", "model", "logit", "change", "made of (feature × weight)"]);
    const { head } = session.model;
    const said = saidAt(at);
    for (const token of outputs) {
      const id = page.tokens.get(token);
      const logit = at.logits[id];
      const change = before ? difference(logit, before.logits[id]) : 0;
      const [may, says] = [at.allowed.has(token), said.has(token)];
      const reads = [];
      for (let i = head.starts[id]; i < head.starts[id + 1]; i++) reads.push({ at: head.places[i], weight: head.kept[i], value: at.normed[head.places[i]] });
      const terms = byFeature(reads, at.normed)
        .map((term) => [Math.fround(term.weight * term.value), term.at])
        .filter(([product]) => product !== 0)
        .map(([product, feature]) => `${product > 0 ? "+" : ""}${shown(product)} ${brief(featureName(feature, page.blocks.length))}`);
      const line = row(body, [
        element("th", Scancraft.shown(token), "symbol name", { scope: "row" }),
        element("td", may ? "yes" : "no", may ? "yes" : "no"),
        element("td", says ? "yes" : "no", may === says ? (says ? "yes" : "no") : "wrong"),
        element("td", shown(logit)),
        element("td", !before ? "" : change === 0 ? "0" : (change > 0 ? "+" : "") + shown(change), change !== 0 ? "changed" : "zero"),
        element("td", terms.join("  "), "name"),
      ]);
      line.dataset.token = token;
      line.dataset.logit = String(logit);
    }
  }

  function drawRaster() {
    const target = $("raster");
    const times = columns();
    target.replaceChildren();
    const head = document.createElement("thead");
    row(head, [
      element("th", "memory", "name", { scope: "col" }),
      ...times.map((t) => {
        const cell = element("th", null, `symbol${t === now.here ? " here" : ""}`, { scope: "col" });
        const label = `position ${t}: ${symbolAt(t)}`;
        const button = element("button", t === 0 ? "▸" : short(symbolAt(t), 12), "", { type: "button", tabindex: "-1", "aria-label": label, title: label });
        if (t === now.here) cell.setAttribute("aria-current", "step");
        cell.append(button);
        cell.dataset.t = t;
        return cell;
      }),
    ]);
    const body = document.createElement("tbody");
    let block = -1;
    page.memories.forEach((memory, m) => {
      const alone = page.memories.filter((other) => other.block === memory.block).length === 1;
      if (memory.block !== block && !alone) {
        block = memory.block;
        const heading = element("th", `block ${block}: ${page.blocks[block].title}`, "name", { scope: "rowgroup" });
        row(body, [heading, element("td", null, "", { colspan: times.length })]).className = "group";
      }
      const kind = memory.values.length ? `${memory.name} (${memory.values.join(" ")})` : memory.name;
      const name = alone ? `block ${memory.block}: ${kind}` : kind;
      const cells = times.map((t) => {
        const value = session.records[t].held[m];
        const number = Number(value);
        const text = memory.values.length || Number.isNaN(number) ? value : shown(number);
        const cell = element("td", text, `${coloured(number)}${t === now.here ? " here" : ""}`);
        cell.dataset.t = t;
        cell.title = visible(meaningOf(memory, m, session.records[t], brief));
        return cell;
      });
      row(body, [element("th", name, "name", { scope: "row", title: name }), ...cells]).dataset.memory = m;
    });
    if (!page.memories.length) row(body, [element("td", "this model has no memory")]);
    target.append(head, body);
    const hidden = session.records.length - times.length;
    $("raster-note").textContent = hidden > 0 ? `${times.length} columns around the position are shown, ${hidden} are not.` : "";
    centre(target.parentElement, target.querySelector("thead .here"));
  }

  function drawStream() {
    const at = record();
    const everything = $("all-features").checked;
    const stages = at.streams.map((_, i) => (i === 0 ? "embedding" : `block ${i - 1}`));
    const body = table($("stream"), ["feature", ...stages]);
    features.forEach((feature, d) => {
      const { name, kind } = feature;
      const values = at.streams.map((stream) => valueOf(feature, stream));
      if (!everything && values.every((v) => v === 0)) return;
      const cells = values.map((value, i) => {
        const changed = i > 0 && value !== values[i - 1];
        const meaning = featureName(d, i);
        const text = value === 0 || meaning === name ? shown(value) : `${shown(value)}  ${short(kind === "slot" ? meaning.slice(name.length + 3) : meaning)}`;
        return element("td", text, changed ? "changed" : value === 0 ? "zero" : "", { title: `${meaning} after ${stages[i]}` });
      });
      row(body, [element("th", turned ? name : `${d}: ${name}`, "name", { scope: "row" }), ...cells]).dataset.dimension = d;
    });
  }

  // All channels of the block that is looked into.
  function drawChannels() {
    const part = record().parts[now.block];
    const body = table($("channels"), ["channel", "role", "x", "Δ", "gate", "state", "y", "z", "y·z"]);
    if (!part || !page.blocks[now.block]) return;
    const states = part.h.length / part.y.length;
    const counted = new Map();
    for (const memory of page.memories) {
      if (memory.block === now.block) for (const channel of memory.channels) counted.set(channel.index, memory.entry);
    }
    for (const channel of page.blocks[now.block].channels) {
      const c = channel.index;
      const remembers = counted.has(c);
      const at = c * states + (counted.get(c) || 0);
      const product = Math.fround(part.y[c] * part.z[c]);
      const values = [part.x[c], remembers ? part.delta[c] : null, remembers ? part.gates[at] : null, remembers ? part.h[at] : null, part.y[c], part.z[c], product];
      const line = row(body, [
        element("td", `${c}: ${channel.meaning}`, "name"),
        element("td", channel.role, "name"),
        ...values.map((v) => element("td", v === null ? "" : shown(v), v === null || v === 0 ? "zero" : "")),
      ]);
      if (c === now.channel) line.className = "chosen";
    }
  }

  return {
    page, session, now, $, outputs, record, element, row, table, shown, brief, short, visible, symbolAt, activeSet, featureName,
    channelName, meaningOf, coloured, turned, byFeature, drawTape, drawVerdict, drawLogits, drawRaster, drawStream, drawChannels,
  };
})();
