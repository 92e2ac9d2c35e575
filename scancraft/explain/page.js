// The page: what a session (explain_page_core.js) computed, as tables. Everything that comes from the checkpoint is set as
// text, never as markup.
"use strict";

(() => {
  const LONGEST = 2000;
  const COLUMNS = 120;
  const TEXTS = new Set(["token", "feature", "channel", "role", "made of (feature × weight)"]); // columns of text
  const page = Scancraft.open(JSON.parse(document.getElementById("data").textContent));
  const session = new Scancraft.Session(page);
  const $ = (id) => document.getElementById(id);
  let here = 0;

  // -- helpers ----------------------------------------------------------------------------------------------------------

  function element(tag, text, classes, attributes) {
    const made = document.createElement(tag);
    if (text !== undefined && text !== null) made.textContent = text;
    if (classes) made.className = classes;
    for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
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

  // The shortest decimal that gives the float32 back; the true minus sign for people.
  function shown(value) {
    if (Object.is(value, -0) || value === 0) return "0";
    if (!Number.isFinite(value)) return String(value);
    const power = Math.log2(Math.abs(value));
    if (Number.isInteger(power) && Math.abs(power) >= 14) return `${value < 0 ? "−" : ""}2^${power}`;
    let text = String(value);
    for (let digits = 1; digits < 10; digits++) {
      const shorter = Number(value.toPrecision(digits));
      if (Math.fround(shorter) === value) {
        text = String(shorter);
        break;
      }
    }
    return text.replace("-", "−");
  }

  // A set of many states, cut short; the whole name is in the title.
  const brief = (set) => (set.length > 60 ? `${set.slice(0, 44)}… (${set.split(/[,|]/).length} states)` : set);
  const short = (text) => (text.length > 16 ? `${text.slice(0, 15)}…` : text);
  const difference = (now, before) => Math.fround(now - before);
  const symbolAt = (t) => (t === 0 ? "<bos>" : Scancraft.shown(session.word[t - 1]));
  const outputs = [...page.alphabet, "<eos>"];

  // -- the parts ---------------------------------------------------------------------------------------------------------

  // What slots stand for, by number; only blocks of a cascade have any.
  function slotNames(block, after) {
    const { slots_before: before, slots_after: end } = page.blocks[block];
    return (after ? end : before) || {};
  }

  function slotName(block, slot, after) {
    return slotNames(block, after)[slot];
  }

  // The set of states that a slot of the residual stream stands for, at a block's input or output.
  function activeSet(record, block, after) {
    const stream = record.streams[block + (after ? 1 : 0)];
    const names = slotNames(block, after);
    const found = Object.keys(names).filter((slot) => {
      const place = page.residual.indexOf(`slot ${slot}`);
      return place >= 0 && stream[place] !== 0;
    });
    return found.map((slot) => slotName(block, slot, after)).join(" and ");
  }

  function meaningOf(memory, index, record, cut) {
    const value = record.held[index];
    if (memory.meanings) return `${memory.name}: ${value}, ${memory.meanings[value] || "?"}`;
    if (memory.kind !== "level") return `${memory.name}: ${value}`;
    const [before, after] = [false, true].map((end) => cut(activeSet(record, memory.block, end)));
    const holds = `block ${memory.block}, ${memory.name}: the memory is ${value}`;
    if (!before || !after) {
      const moved = memory.channels.filter((c) => record.parts[memory.block].y[c.index] * record.parts[memory.block].z[c.index] !== 0);
      const done = moved.map((c) => page.blocks[memory.block].channels.find((about) => about.index === c.index).meaning);
      return [holds, ...done].join("; ");
    }
    return before === after ? `${holds}; ${before} stays` : `${holds}; of ${before} it picks ${after}`;
  }

  function drawVerdict() {
    const record = session.records[here];
    const logits = new Map(outputs.map((token) => [token, record.logits[page.tokens.get(token)]]));
    const model = new Set(outputs.filter((token) => logits.get(token) > 0));
    const wrong = outputs.filter((token) => model.has(token) !== record.allowed.has(token));
    const list = (set) => outputs.filter((token) => set.has(token)).join(" ") || "nothing";
    const target = $("verdict");
    const prefix = Scancraft.formatWord(session.word.slice(0, here), page) || "the empty word";
    const shownPrefix = prefix.length > 60 ? `…${prefix.slice(-60)}` : prefix;
    const accepted = (set) => (set.has("<eos>") ? "in the language" : set.size ? "not in it, but can be completed" : "no prefix of a word");
    target.replaceChildren(
      element("p", `After ${shownPrefix}`),
      element("p", `Language: ${session.truth.show(record.at)}; ${accepted(record.allowed)}; next: ${list(record.allowed)}`, "truth"),
      element("p", `Model: ${accepted(model)}; next: ${list(model)}`, "model"),
    );
    const outside = page.contract === "live-prefixes" && !session.truth.isLive(record.at);
    if (outside) target.append(element("p", "This prefix cannot be completed: the contract “live-prefixes” promises nothing here.", "no"));
    else if (wrong.length) target.append(element("p", `They disagree on ${wrong.join(" ")}.`, "wrong"));
    else target.append(element("p", "They agree.", "yes"));
    $("where").textContent = `${here} of ${session.word.length}: ${symbolAt(here)}`;
  }

  function drawLogits() {
    const record = session.records[here];
    const before = here > 0 ? session.records[here - 1] : null;
    const body = table($("logits"), ["token", "language", "model", "logit", "change", "made of (feature × weight)"]);
    for (const token of outputs) {
      const id = page.tokens.get(token);
      const logit = record.logits[id];
      const change = before ? difference(logit, before.logits[id]) : 0;
      const [may, says] = [record.allowed.has(token), logit > 0];
      const head = session.model.head;
      const terms = [];
      for (let i = head.starts[id]; i < head.starts[id + 1]; i++) {
        const product = Math.fround(head.kept[i] * record.normed[head.places[i]]);
        if (product !== 0) terms.push(`${product > 0 ? "+" : ""}${shown(product)} ${brief(featureName(head.places[i], page.blocks.length))}`);
      }
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

  function columns() {
    const last = session.records.length - 1;
    const first = last < COLUMNS ? 0 : Math.max(0, Math.min(here - COLUMNS / 2, last - COLUMNS + 1));
    return Array.from({ length: Math.min(last + 1, COLUMNS) }, (_, i) => first + i);
  }

  function drawRaster() {
    const target = $("raster");
    const times = columns();
    target.replaceChildren();
    const head = document.createElement("thead");
    row(head, [
      element("th", "memory", "name", { scope: "col" }),
      ...times.map((t) => {
        const cell = element("th", null, `symbol${t === here ? " here" : ""}`, { scope: "col" });
        const label = `position ${t}: ${symbolAt(t)}`;
        const button = element("button", t === 0 ? "▸" : symbolAt(t), "", { type: "button", tabindex: "-1", "aria-label": label, title: label });
        if (t === here) cell.setAttribute("aria-current", "step");
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
        const line = row(body, [heading, element("td", null, "", { colspan: times.length })]);
        line.className = "group";
      }
      const kind = memory.values.length ? `${memory.name} (${memory.values.join(" ")})` : memory.name;
      const name = alone ? `block ${memory.block}: ${kind}` : kind;
      const cells = times.map((t) => {
        const value = session.records[t].held[m];
        const number = Number(value);
        const text = memory.values.length ? value : shown(number);
        const coloured = number === 0 ? "v0" : `v${1 + ((Math.abs(number) - 1) % 7)}`;
        const cell = element("td", Number.isNaN(number) ? value : text, `${Number.isInteger(number) ? coloured : ""}${t === here ? " here" : ""}`);
        cell.dataset.t = t;
        cell.title = meaningOf(memory, m, session.records[t], brief);
        return cell;
      });
      const line = row(body, [element("th", name, "name", { scope: "row", title: name }), ...cells]);
      line.dataset.memory = m;
    });
    if (!page.memories.length) row(body, [element("td", "this model has no memory")]);
    target.append(head, body);
    const hidden = session.records.length - times.length;
    $("raster-note").textContent = hidden > 0 ? `${times.length} columns around the position are shown, ${hidden} are not.` : "";
    const now = target.querySelector("thead .here");
    if (now && now.offsetLeft !== undefined) {
      const box = target.parentElement;
      const left = now.offsetLeft - box.clientWidth * 0.6;
      if (now.offsetLeft + now.offsetWidth > box.scrollLeft + box.clientWidth || now.offsetLeft < box.scrollLeft + 180) box.scrollLeft = left;
    }
    const record = session.records[here];
    $("meaning").replaceChildren(
      ...page.memories
        .map((memory, m) => [memory, m])
        .filter(([memory, m]) => memory.values.length || Number(record.held[m]) !== 0)
        .slice(0, 40)
        .flatMap(([memory, m]) => {
          const whole = meaningOf(memory, m, record, (set) => set);
          const line = element("span", meaningOf(memory, m, record, brief));
          if (line.textContent !== whole) line.title = whole;
          return [line, document.createElement("br")];
        }),
    );
  }

  // What a dimension means after so many blocks; slots change their meaning from block to block.
  function featureName(dimension, blocksDone) {
    const name = page.residual[dimension];
    const slot = /^slot (\d+)$/.exec(name);
    if (!slot || !page.blocks.length) return name;
    const set = blocksDone === 0 ? slotName(0, slot[1], false) : slotName(blocksDone - 1, slot[1], true);
    return set === undefined ? name : `${name} = ${set}`;
  }

  function drawStream() {
    const record = session.records[here];
    const everything = $("all-features").checked;
    const stages = record.streams.map((_, i) => (i === 0 ? "embedding" : `block ${i - 1}`));
    const body = table($("stream"), ["feature", ...stages]);
    page.residual.forEach((name, d) => {
      const values = record.streams.map((stream) => stream[d]);
      if (!everything && values.every((v) => v === 0)) return;
      const cells = values.map((value, i) => {
        const changed = i > 0 && value !== values[i - 1];
        const cell = element("td", shown(value), changed ? "changed" : value === 0 ? "zero" : "");
        cell.title = `${featureName(d, i)} after ${stages[i]}`;
        if (value !== 0 && featureName(d, i) !== name) cell.textContent = `${shown(value)}  ${short(featureName(d, i).replace(/^slot \d+ = /, ""))}`;
        return cell;
      });
      const line = row(body, [element("th", `${d}: ${name}`, "name", { scope: "row" }), ...cells]);
      line.dataset.dimension = d;
    });
  }

  function drawChannels() {
    const number = Number($("block").value);
    const record = session.records[here];
    const part = record.parts[number];
    const body = table($("channels"), ["channel", "role", "x", "Δ", "gate", "state", "y", "z", "y·z"]);
    if (!part || !page.blocks[number]) return;
    const states = part.h.length / part.y.length;
    const counted = new Map();
    for (const memory of page.memories) {
      if (memory.block === number) for (const channel of memory.channels) counted.set(channel.index, memory.entry);
    }
    for (const channel of page.blocks[number].channels) {
      const c = channel.index;
      const remembers = counted.has(c);
      const at = c * states + (counted.get(c) || 0);
      const product = Math.fround(part.y[c] * part.z[c]);
      row(body, [
        element("td", `${c}: ${channel.meaning}`, "name"),
        element("td", channel.role, "name"),
        ...[part.x[c], remembers ? part.delta[c] : null, remembers ? part.gates[at] : null, remembers ? part.h[at] : null, part.y[c], part.z[c], product].map(
          (v) => element("td", v === null ? "" : shown(v), v === null || v === 0 ? "zero" : ""),
        ),
      ]);
    }
  }

  // What is typed may be no word yet, so these look at the field.
  function enable() {
    for (const id of ["backspace", "clear"]) $(id).disabled = $("word").value === "";
  }

  function draw() {
    const last = session.word.length;
    here = Math.max(0, Math.min(here, last));
    $("position").max = last;
    $("position").value = here;
    $("position").setAttribute("aria-valuetext", `${here} of ${last}: ${symbolAt(here)}`);
    for (const id of ["first", "back"]) $(id).disabled = here === 0;
    for (const id of ["last", "forward"]) $(id).disabled = here === last;
    enable();
    drawVerdict();
    drawRaster();
    drawLogits();
    drawStream();
    drawChannels();
  }

  // -- what people do -----------------------------------------------------------------------------------------------------

  function read(word, position) {
    if (word.length > LONGEST) {
      $("word-error").textContent = `the page reads words of at most ${LONGEST} symbols, this one has ${word.length}`;
      enable();
      return;
    }
    $("word-error").textContent = "";
    session.set(word);
    here = position === undefined ? word.length : position;
    draw();
  }

  function typed() {
    try {
      read(Scancraft.parseWord($("word").value, page));
    } catch (error) {
      $("word-error").textContent = error.message;
      enable();
    }
  }

  function write(word) {
    $("word").value = Scancraft.formatWord(word, page);
    read(word);
  }

  function go(position) {
    here = position;
    draw();
  }

  document.title = `scancraft: ${page.title}`;
  $("title").textContent = page.title;
  for (const [name, value] of page.facts) $("facts").append(element("dt", name), element("dd", value));
  for (const symbol of page.alphabet) {
    const button = element("button", Scancraft.shown(symbol), "", { type: "button" });
    button.addEventListener("click", () => write([...session.word, symbol]));
    $("symbols").append(button);
  }
  const example = page.alphabet.slice(0, 3).join(page.spaced ? " " : "");
  $("word-help").textContent = page.spaced ? `Symbols separated by spaces, as in: ${example}` : `Characters, as in: ${example}`;
  page.blocks.forEach((block, i) => $("block").append(element("option", `${i}: ${block.title}`, "", { value: i })));
  $("word").addEventListener("input", typed);
  $("backspace").addEventListener("click", () => write(session.word.slice(0, -1)));
  $("clear").addEventListener("click", () => write([]));
  $("first").addEventListener("click", () => go(0));
  $("back").addEventListener("click", () => go(here - 1));
  $("forward").addEventListener("click", () => go(here + 1));
  $("last").addEventListener("click", () => go(session.word.length));
  $("position").addEventListener("input", () => go(Number($("position").value)));
  $("all-features").addEventListener("change", drawStream);
  $("block").addEventListener("change", drawChannels);
  $("raster").addEventListener("click", (event) => {
    const cell = event.target.closest("[data-t]");
    if (cell) go(Number(cell.dataset.t));
  });
  document.addEventListener("keydown", (event) => {
    const busy = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (busy || event.ctrlKey || event.altKey || event.metaKey) return;
    const places = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: session.word.length };
    if (!Object.prototype.hasOwnProperty.call(places, event.key)) return;
    event.preventDefault();
    go(places[event.key]);
  });

  // A link may name a word: page.html#word=abba
  function linked() {
    const found = /^#word=(.*)$/.exec(location.hash);
    if (!found) return false;
    try {
      $("word").value = decodeURIComponent(found[1]);
    } catch {
      return false;
    }
    typed();
    return true;
  }
  window.addEventListener("hashchange", linked);
  window.scancraft = { page, session, position: () => here };
  draw();
  linked();
})();
