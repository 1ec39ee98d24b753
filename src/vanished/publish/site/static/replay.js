// Shows the answers in a file of captures (WACZ). In: a file that the reader chooses, or one of this
// site from a server. Out: a list of answers, and one of them in a frame in which nothing runs and
// nothing is asked for. It reads the ZIP, its index and WARC records by itself; it proves nothing:
// vanished verify does that. Words of strangers are set as text; pages are taken apart before.
"use strict";
(() => {
  const [choose, file, said, answers, rows, one, of, shown] = [
    "choose", "file", "said", "answers", "rows", "one", "of", "shown",
  ].map((id) => document.getElementById(id));
  const SHARD = /^captures\/\d{4,9}\.wacz$/;
  const LARGEST = 32 << 20; // bytes of one answer, as it is shown
  const MEMBERS = 40000;
  const SHOWN = 2000; // answers in the list
  const POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";
  const AWAY = "script, link, meta, base, iframe, frame, frameset, object, embed, applet, portal, form, input, button, select, textarea, noscript, template, audio, video, source, track, svg, math";
  const KEPT = new Set(["alt", "class", "colspan", "dir", "id", "lang", "rowspan", "style", "title"]);

  class Unreadable extends Error {} // its message is the name of a sentence of the page

  const say = (name, more = "") => {
    said.textContent = name ? `${said.dataset[name]} ${more}`.trim() : "";
  };
  const wrong = (error) => say(error instanceof Unreadable ? error.message : "wacz");
  const bad = (name = "wacz") => { throw new Unreadable(name); };
  const latin = (bytes) => new TextDecoder("latin1").decode(bytes);

  // What `form` packed, at most LARGEST bytes of it.
  async function unpacked(bytes, form) {
    const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(form)).getReader();
    const parts = [];
    let size = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > LARGEST) { await reader.cancel(); bad("large"); }
      parts.push(value);
    }
    return new Uint8Array(await new Blob(parts).arrayBuffer());
  }

  // The members of a ZIP (APPNOTE 4.3.12, 4.3.16), by name; neither ZIP64 nor encrypted ones.
  function members(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let end = bytes.length - 22;
    const least = Math.max(0, end - 65535);
    while (end >= least && view.getUint32(end, true) !== 0x06054b50) end -= 1;
    if (end < least) bad();
    const count = view.getUint16(end + 10, true);
    let at = view.getUint32(end + 16, true);
    if (count > MEMBERS) bad();
    const found = new Map();
    for (let number = 0; number < count; number += 1) {
      if (view.getUint32(at, true) !== 0x02014b50) bad();
      const [name, extra, note] = [28, 30, 32].map((place) => view.getUint16(at + place, true));
      const entry = {
        method: view.getUint16(at + 10, true),
        size: view.getUint32(at + 20, true),
        place: view.getUint32(at + 42, true),
      };
      found.set(new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + name)), entry);
      at += 46 + name + extra + note;
    }
    return { bytes, view, found };
  }

  // The bytes of a member as they lie there.
  function stored(zip, name) {
    const entry = zip.found.get(name) || bad();
    if (zip.view.getUint32(entry.place, true) !== 0x04034b50) bad();
    const start = entry.place + 30 + zip.view.getUint16(entry.place + 26, true) + zip.view.getUint16(entry.place + 28, true);
    if (start + entry.size > zip.bytes.length) bad();
    return zip.bytes.subarray(start, start + entry.size);
  }

  async function member(zip, name) {
    const held = stored(zip, name);
    const { method } = zip.found.get(name);
    return method === 8 ? unpacked(held, "deflate-raw") : method === 0 ? held : bad();
  }

  // The lines of the index (CDXJ in gzip members, each of which index.idx names).
  async function indexed(zip) {
    const [idx, cdx] = [await member(zip, "indexes/index.idx"), await member(zip, "indexes/index.cdx.gz")];
    const found = [];
    for (const line of new TextDecoder().decode(idx).split("\n").filter((text) => text && !text.startsWith("!"))) {
      const { offset, length } = JSON.parse(line.slice(line.indexOf("{")));
      const lines = new TextDecoder().decode(await unpacked(cdx.subarray(offset, offset + length), "gzip"));
      for (const each of lines.split("\n").filter(Boolean)) {
        const begin = each.indexOf(" {");
        const entry = JSON.parse(each.slice(begin + 1));
        entry.at = each.slice(0, begin).split(" ").pop();
        found.push(entry);
      }
    }
    return found.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
  }

  // Header lines and what follows them.
  function headed(bytes) {
    let end = 0;
    while (end + 3 < bytes.length && !(bytes[end] === 13 && bytes[end + 1] === 10 && bytes[end + 2] === 13 && bytes[end + 3] === 10)) end += 1;
    if (end + 3 >= bytes.length) bad();
    const fields = new Map();
    for (const line of latin(bytes.subarray(0, end)).split("\r\n").slice(1)) {
      const [name, ...value] = line.split(":");
      fields.set(name.toLowerCase(), value.join(":").trim());
    }
    return [fields, bytes.subarray(end + 4)];
  }

  // The body of an answer and its kind, as a WARC record (ISO 28500) holds it.
  async function answer(zip, entry) {
    const warc = await member(zip, `archive/${entry.filename}`);
    const offset = Number(entry.offset);
    const record = await unpacked(warc.subarray(offset, offset + Number(entry.length)), "gzip");
    const [about, content] = headed(record);
    const block = content.subarray(0, Number(about.get("content-length")));
    if (about.get("warc-type") === "resource") return [block, about.get("content-type") || ""];
    const [fields, body] = headed(block);
    const coding = (fields.get("content-encoding") || "identity").toLowerCase();
    if (coding === "identity") return [body, fields.get("content-type") || ""];
    if (!["gzip", "x-gzip", "deflate"].includes(coding)) bad("coded");
    return [await unpacked(body, coding === "deflate" ? "deflate" : "gzip"), fields.get("content-type") || ""];
  }

  const escaped = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

  // A page of strangers without anything that runs, loads or leads away. A document that was parsed
  // so loads nothing itself.
  function harmless(text) {
    const page = new DOMParser().parseFromString(text, "text/html");
    page.querySelectorAll(AWAY).forEach((element) => element.remove());
    for (const element of page.querySelectorAll("*")) {
      for (const { name, value } of [...element.attributes]) {
        const picture = element.localName === "img" && name === "src" && value.startsWith("data:image/");
        if (!KEPT.has(name) && !picture) element.removeAttribute(name);
      }
    }
    return page.documentElement.innerHTML.replace(/^<head>/, "").replace("</head>", "");
  }

  function decoded(body, kind) {
    const label = (/charset=["']?([\w-]+)/i.exec(kind) || [])[1]
      || (/<meta[^>]+charset=["']?([\w-]+)/i.exec(latin(body.subarray(0, 2048))) || [])[1] || "utf-8";
    try {
      return new TextDecoder(label).decode(body);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return new TextDecoder().decode(body);
    }
  }

  async function content(body, kind) {
    const plain = kind.split(";")[0].trim().toLowerCase();
    if (/^image\/(png|jpeg|gif|webp|avif|bmp)$/.test(plain)) {
      const url = await new Promise((done) => {
        const reader = new FileReader();
        reader.onload = () => done(reader.result);
        reader.readAsDataURL(new Blob([body], { type: plain }));
      });
      return `<img alt="" style="max-width:100%" src="${escaped(url)}">`;
    }
    if (/html/.test(plain)) return harmless(decoded(body, kind));
    if (/^text\/|json|xml|javascript|urlencoded|^$/.test(plain)) {
      return `<pre style="white-space:pre-wrap;overflow-wrap:anywhere">${escaped(decoded(body, kind))}</pre>`;
    }
    say("kind", plain);
    return null;
  }

  async function show(zip, entries, entry) {
    one.hidden = true;
    say("");
    try {
      const whole = entry.mime !== "warc/revisit" ? entry : entries.find(
        (other) => other.mime !== "warc/revisit" && other.digest === entry.digest,
      );
      if (!whole) bad("repeat");
      const [body, kind] = await answer(zip, whole);
      if (body.length > LARGEST) bad("large");
      const inside = await content(body, kind);
      if (inside === null) return;
      shown.srcdoc = `<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${POLICY}"><meta name="referrer" content="no-referrer">${inside}`;
      of.textContent = entry.url;
      one.hidden = false;
      of.focus();
    } catch (error) {
      wrong(error);
    }
  }

  const moment = (at) => at.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/, "$1-$2-$3 $4:$5:$6");

  async function open(bytes) {
    answers.hidden = one.hidden = true;
    rows.replaceChildren();
    say("reading");
    const zip = members(bytes);
    const entries = await indexed(zip);
    for (const entry of entries.slice(0, SHOWN)) {
      const row = rows.insertRow();
      row.insertCell().textContent = moment(entry.at);
      row.insertCell().textContent = entry.status || "–";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = entry.url;
      button.addEventListener("click", () => show(zip, entries, entry));
      row.insertCell().append(button);
    }
    answers.hidden = entries.length === 0;
    if (entries.length) say("found", String(entries.length)); else say("none");
  }

  file.addEventListener("change", async () => {
    if (!file.files.length) return;
    try {
      await open(new Uint8Array(await file.files[0].arrayBuffer()));
    } catch (error) {
      wrong(error);
    }
  });

  async function fetched(path) {
    try {
      say("reading");
      const came = await fetch(new URL(`../${path}`, location.href)).catch(() => null);
      if (came === null || !came.ok) bad("far");
      await open(new Uint8Array(await came.arrayBuffer()));
    } catch (error) {
      wrong(error);
    }
  }

  choose.hidden = false;
  document.getElementById("without").hidden = true;
  const asked = new URLSearchParams(location.search).get("shard");
  if (asked !== null && SHARD.test(asked)) {
    if (location.protocol.startsWith("http")) fetched(asked); else say("far");
  }
})();
