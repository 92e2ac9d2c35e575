// The page: what people do, and what is drawn again when they have done it.
"use strict";

(() => {
  const LONGEST = 2000;
  const { page, session, now, $, element, visible, symbolAt } = View;
  let timer = null;

  // What is typed may be no word yet, so these look at the field.
  function enable() {
    for (const id of ["backspace", "clear"]) $(id).disabled = $("word").value === "";
  }

  // Boxes that are wider than the screen say so.
  function hints() {
    for (const box of document.querySelectorAll(".scroll")) box.classList.toggle("wide", box.scrollWidth > box.clientWidth + 1);
  }

  function drawChannel() {
    Channel.drawText();
    Channel.drawEquations();
    View.drawChannels();
  }

  function draw() {
    const last = session.word.length;
    now.here = Math.max(0, Math.min(now.here, last));
    $("position").max = last;
    $("position").value = now.here;
    $("position").setAttribute("aria-valuetext", visible(`${now.here} of ${last}: ${symbolAt(now.here)}`));
    for (const id of ["first", "back"]) $(id).disabled = now.here === 0;
    for (const id of ["last", "forward"]) $(id).disabled = now.here === last;
    $("play").disabled = last === 0;
    enable();
    View.drawTape();
    View.drawVerdict();
    Lit.drawLanguage();
    Lit.drawBlocks();
    View.drawRaster();
    View.drawLogits();
    View.drawStream();
    drawChannel();
    hints();
    if (timer === null) link();
  }

  // -- the word ---------------------------------------------------------------------------------------------------------

  function read(word, position) {
    pause();
    if (word.length > LONGEST) {
      $("word-error").textContent = `the page reads words of at most ${LONGEST} symbols, this one has ${word.length}`;
      enable();
      return;
    }
    $("word-error").textContent = "";
    session.set(word);
    now.here = position === undefined ? word.length : position;
    draw();
  }

  function typed(position) {
    try {
      read(Scancraft.parseWord($("word").value, page), position);
    } catch (error) {
      $("word-error").textContent = visible(error.message);
      enable();
    }
  }

  function write(word) {
    $("word").value = Scancraft.formatWord(word, page);
    read(word);
  }

  function go(position) {
    now.here = position;
    draw();
  }

  // A link may name a word, and a position in it: page.html#word=abba&at=2
  function linked() {
    const found = /^#word=(.*?)(?:&at=(\d{1,6}))?$/.exec(location.hash);
    if (!found) return false;
    try {
      $("word").value = decodeURIComponent(found[1]);
    } catch {
      $("word-error").textContent = "the link to this page names no word: its percent signs do not spell one";
      return false;
    }
    typed(found[2] === undefined ? undefined : Number(found[2]));
    return true;
  }

  // The address names the word and the position that are shown. Browsers allow only so many changes in a while.
  function link() {
    const word = encodeURIComponent(Scancraft.formatWord(session.word, page));
    const at = now.here === session.word.length ? "" : `&at=${now.here}`;
    try {
      history.replaceState(null, "", `#word=${word}${at}`);
    } catch {
      // The page works without.
    }
  }

  // -- playing ----------------------------------------------------------------------------------------------------------

  function pause() {
    if (timer === null) return;
    clearTimeout(timer);
    timer = null;
    playing(false);
    link();
  }

  function playing(on) {
    $("play").textContent = on ? "Pause" : "Play";
    $("play").setAttribute("aria-pressed", String(on));
    $("verdict").setAttribute("aria-live", on ? "off" : "polite");
  }

  function tick() {
    timer = setTimeout(() => {
      go(now.here + 1);
      if (now.here >= session.word.length) pause();
      else tick();
    }, Number($("speed").value));
  }

  function play() {
    if (timer !== null) return pause();
    if (session.word.length === 0) return undefined;
    playing(true);
    tick();
    if (now.here >= session.word.length) go(0);
    return undefined;
  }

  const byHand = (position) => {
    pause();
    go(position);
  };

  // -- beginning --------------------------------------------------------------------------------------------------------

  document.title = visible(`${page.name} · scancraft`);
  $("kicker").textContent = page.named || "scancraft";
  $("title").textContent = visible(page.name);
  $("title").classList.toggle("unnamed", page.named === "");
  const model = page.facts.find(([name]) => name === "model");
  $("subtitle").textContent = visible(`${page.name === page.title ? "" : `A ${page.title}. `}${model[1]}.`);
  for (const [name, value] of page.facts) $("facts").append(element("dt", name), element("dd", value));
  for (const symbol of page.alphabet) {
    const button = element("button", Scancraft.shown(symbol), "", { type: "button" });
    button.dataset.symbol = symbol;
    button.addEventListener("click", () => write([...session.word, symbol]));
    $("symbols").append(button);
  }
  const sample = visible(page.alphabet.slice(0, 3).join(page.spaced ? " " : ""));
  const lit = page.contract === "recognise" ? "" : " A symbol that is marked may come next.";
  $("word-help").textContent = `${page.spaced ? `Symbols separated by spaces, as in: ${sample}` : `Characters, as in: ${sample}`}.${lit}`;
  page.blocks.forEach((block, i) => $("block").append(element("option", `${i}: ${View.short(block.title, 60)}`, "", { value: i })));
  $("word").addEventListener("input", () => typed());
  $("backspace").addEventListener("click", () => write(session.word.slice(0, -1)));
  $("clear").addEventListener("click", () => write([]));
  $("first").addEventListener("click", () => byHand(0));
  $("back").addEventListener("click", () => byHand(now.here - 1));
  $("play").addEventListener("click", play);
  $("forward").addEventListener("click", () => byHand(now.here + 1));
  $("last").addEventListener("click", () => byHand(session.word.length));
  $("position").addEventListener("input", () => byHand(Number($("position").value)));
  $("all-features").addEventListener("change", View.drawStream);
  $("block").addEventListener("change", () => choose(Number($("block").value)));
  $("channel").addEventListener("change", () => choose(now.block, Number($("channel").value)));
  for (const id of ["raster", "tape"]) {
    $(id).addEventListener("click", (event) => {
      const cell = event.target.closest("[data-t]");
      if (cell) byHand(Number(cell.dataset.t));
    });
  }
  const dotOf = (event) => event.target.closest && event.target.closest(".dot");

  function choose(block, channel) {
    Channel.choose(block, channel);
    Lit.drawBlocks();
    drawChannel();
    hints();
  }

  $("blocks").addEventListener("click", (event) => {
    const dot = dotOf(event);
    if (dot) choose(Number(dot.dataset.block), Number(dot.dataset.channel));
    else if (event.target.closest(".to-numbers")) $("channel-title").scrollIntoView();
  });
  for (const [begin, end] of [["pointerover", "pointerout"], ["focusin", "focusout"]]) {
    $("blocks").addEventListener(begin, (event) => dotOf(event) && Channel.showTip(dotOf(event)));
    $("blocks").addEventListener(end, Channel.hideTip);
  }
  document.addEventListener("scroll", Channel.hideTip, { passive: true });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") Channel.hideTip();
    const busy = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (busy || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === " " && !/^(BUTTON|SUMMARY)$/.test(event.target.tagName)) {
      event.preventDefault();
      play();
      return;
    }
    const places = { ArrowLeft: now.here - 1, ArrowRight: now.here + 1, Home: 0, End: session.word.length };
    if (!Object.prototype.hasOwnProperty.call(places, event.key)) return;
    event.preventDefault();
    byHand(places[event.key]);
  });
  window.addEventListener("hashchange", linked);
  window.addEventListener("resize", hints);
  window.scancraft = { page, session, position: () => now.here };
  Lit.openLanguage();
  Channel.choose(0);
  if (!linked()) {
    const failed = $("word-error").textContent;
    write(page.example);
    $("word-error").textContent = failed;
  } else if (session.word.length === 0) draw();
})();
