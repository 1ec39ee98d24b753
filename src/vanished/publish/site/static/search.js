// Searches a static site. It loads the few scripts of the index that hold the words that are looked
// for (a page that was opened from a file may load scripts and nothing else), meets their lists of
// numbers, and shows the losses, newest first. Words of strangers are set as text, never as HTML.
"use strict";
(() => {
  const form = document.getElementById("search");
  const said = document.getElementById("said");
  const list = document.getElementById("found");
  const more = document.getElementById("more");
  const { root, words: folder } = form.dataset;
  const parts = form.dataset.parts.split(" ").filter(Boolean).map(Number);
  const [shards, wide, volume] = ["shards", "part", "volume"].map((name) => Number(form.dataset[name]));
  const SHOWN = 20;
  const PRIME = 65521;
  const JOINED = "\\u3005\\u3007\\u3040-\\u30ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uac00-\\ud7af\\uf900-\\ufaff\\u{20000}-\\u{3ffff}";
  const RUNS = new RegExp(`([${JOINED}]+)|((?:(?![${JOINED}])[\\p{L}\\p{N}_])+)`, "gu");

  const came = new Map(); // "what:name" to its content
  const asked = new Map(); // path to the promise of its script
  window.vanished = ([what, name, content]) => came.set(`${what}:${name}`, content);

  // The content of a script of the index; undefined where it is not there.
  function load(path, key) {
    if (!asked.has(path)) {
      asked.set(path, new Promise((done) => {
        const script = document.createElement("script");
        script.src = root + path;
        script.onload = script.onerror = () => { script.remove(); done(came.get(key)); };
        document.head.append(script);
      }));
    }
    return asked.get(path);
  }

  const padded = (number, digits) => String(number).padStart(digits, "0");
  let folds = null;

  async function folded(text) {
    if (folds === null) {
      folds = new Map();
      const pairs = Array.from((await load("find/folds.js", "folds:")) || "");
      for (let at = 0; at + 1 < pairs.length; at += 2) folds.set(pairs[at], pairs[at + 1]);
    }
    const plain = text.normalize("NFKC").toLowerCase();
    return Array.from(plain, (one) => folds.get(one) || one).join("");
  }

  function shardOf(token) {
    let found = 0;
    for (const one of Array.from(token).slice(0, 2)) found = (found * 31 + one.codePointAt(0)) % PRIME;
    return found % shards;
  }

  // The tokens that are looked for, each with whether it is only a beginning.
  function tokens(runs) {
    const found = [];
    for (const [joined, run] of runs) {
      const signs = Array.from(run);
      if (!joined) found.push([run, true]);
      for (let at = 0; joined && at + 1 < signs.length; at += 1) {
        found.push([signs[at] + signs[at + 1], false]);
      }
    }
    return found;
  }

  // The numbers that hold a token, in one part of the losses; null where the index is not whole.
  async function holding(part, [token, beginning]) {
    const shard = shardOf(token);
    const path = `find/${padded(part, 4)}/${padded(shard, 2)}.js`;
    const held = await load(path, `shard:${part}/${shard}`);
    if (held === undefined) return null;
    const found = new Set();
    const names = beginning ? Object.keys(held).filter((name) => name.startsWith(token)) : [token];
    for (const name of names) {
      if (!Object.hasOwn(held, name)) continue;
      let place = part * wide + 1;
      for (const step of held[name]) found.add(place += step);
    }
    return found;
  }

  async function meeting(part, wanted) {
    const lists = await Promise.all(wanted.map((token) => holding(part, token)));
    if (lists.includes(null)) return null;
    lists.sort((one, other) => one.size - other.size);
    return [...lists[0]].filter((number) => lists.every((each) => each.has(number))).sort((a, b) => b - a);
  }

  let search = 0; // the newest one; older ones stop
  let rest = [];
  let runs = [];

  async function begin(query) {
    const mine = search += 1;
    list.replaceChildren();
    list.ariaBusy = "true";
    more.hidden = true;
    const plain = await folded(query);
    runs = Array.from(plain.matchAll(RUNS), (run) => [run[1] !== undefined, run[0]])
      .filter(([, run]) => Array.from(run).length > 1);
    const wanted = tokens(runs);
    if (!wanted.length) {
      said.textContent = said.dataset.short;
      list.ariaBusy = "false";
      return;
    }
    const found = await Promise.all(parts.map((part) => meeting(part, wanted)));
    if (mine !== search) return;
    rest = found.filter((each) => each !== null).flat().sort((a, b) => b - a);
    const whole = !found.includes(null);
    const count = `${said.dataset.found} ${rest.length.toLocaleString(document.documentElement.lang)}`;
    said.textContent = (rest.length ? count : said.dataset.none) + (whole ? "" : ` ${said.dataset.broken}`);
    await show(mine);
  }

  async function show(mine) {
    let shown = 0;
    list.ariaBusy = "true";
    while (rest.length && shown < SHOWN) {
      const some = rest.splice(0, SHOWN);
      const volumes = await Promise.all(some.map((number) => {
        const name = Math.floor((number - 1) / volume);
        return load(`${folder}${padded(name, 6)}.js`, `words:${name}`);
      }));
      for (const [at, number] of some.entries()) {
        const row = (volumes[at] || []).find((each) => each[0] === number);
        if (!row) continue;
        const text = await folded(`${row[1]}\n${row[5]}\n${row[6]}`);
        if (mine !== search) return;
        if (!runs.every(([, run]) => text.includes(run))) continue;
        list.append(told(row));
        shown += 1;
      }
    }
    more.hidden = !rest.length;
    if (!shown && !list.children.length && !said.textContent.includes(said.dataset.broken)) {
      said.textContent = said.dataset.none;
    }
    list.ariaBusy = "false";
  }

  function told([number, post, platform, causes, gone, title, text]) {
    const link = document.createElement("a");
    link.href = `loss/${padded(Math.floor((number - 1) / volume), 6)}.html#${post}`;
    const names = causes.map((cause) => list.getAttribute(`data-cause-${cause}`));
    link.dir = "auto";
    link.textContent = title || text.slice(0, 60) || post;
    const facts = document.createElement("span");
    facts.className = "soft";
    const cause = names.join(` ${list.dataset.or} `) || list.dataset.untold;
    facts.textContent = ` ${gone || list.dataset.untold} · ${platform} · ${cause}`;
    const words = document.createElement("bdi");
    words.textContent = text.slice(0, 200);
    const line = document.createElement("li");
    line.append(link, facts, document.createElement("br"), words);
    return line;
  }

  form.hidden = false;
  document.getElementById("without").hidden = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    begin(form.elements.q.value);
  });
  more.addEventListener("click", () => show(search));
  const given = new URLSearchParams(location.search).get("q");
  if (given) { form.elements.q.value = given; begin(given); }
})();
