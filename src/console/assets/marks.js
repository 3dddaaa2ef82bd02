// The marks that WhatsApp's writers use: *bold*, _italic_, ~struck~, `code` and ```code of several lines```; and links, of which only http and
// https become any. Makes nodes, never HTML; what is no pair of marks stays as it was typed.

import { h } from "./dom.js";

const TAGS = { "*": "strong", _: "em", "~": "s" };

/** Marks in marks; there are three of them. */
const DEEPEST = 4;

const LINK = /https?:\/\/[^\s<>"'`\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f]+/giu;

/** Whether a word goes on here: a mark inside of a word is none. */
const isWord = (character) => character !== undefined && /[\p{L}\p{N}]/u.test(character);
const isSpace = (character) => character === undefined || /\s/.test(character);

/** Nodes and texts for what a person wrote. */
export function marked(text) {
  return nodesOf(text, 0);
}

/** The same in one line for lists, quotes and those who listen: without the marks. */
export function unmarked(text) {
  return marked(String(text ?? "")).map((node) => (typeof node === "string" ? node : node.textContent)).join("");
}

function nodesOf(text, depth) {
  const links = linksOf(text);
  const ends = new Ends(text, links);
  const nodes = [];
  let plain = "";
  const put = (node) => {
    if (plain) nodes.push(plain);
    plain = "";
    nodes.push(node);
  };
  let at = 0;
  while (at < text.length) {
    const link = links.get(at);
    if (link) {
      put(h("a", { href: link, rel: "noopener noreferrer nofollow", target: "_blank" }, link));
      at += link.length;
      continue;
    }
    const pair = pairAt(text, at, ends);
    if (!pair) {
      plain += text[at];
      at += 1;
      continue;
    }
    const inside = text.slice(at + pair.length, pair.end);
    // What is code has no marks and no links.
    put(h(pair.tag, null, pair.tag === "code" ? inside : depth < DEEPEST ? nodesOf(inside, depth + 1) : inside));
    at = pair.end + pair.length;
  }
  if (plain) nodes.push(plain);
  return nodes;
}

const ENDS = ".,;:!?)]}»”’*_~";

/** Links by where they begin. A link shows where it leads, since its words are its address. */
function linksOf(text) {
  const links = new Map();
  for (const found of text.matchAll(LINK)) {
    // A sentence's end, or a mark that closes, is not the address's.
    const words = withoutEnd(found[0]);
    if (URL.canParse(words)) links.set(found.index, words);
  }
  return links;
}

/** By a loop and not by an expression: that would try anew at each of the characters of a long row of them. */
function withoutEnd(link) {
  let end = link.length;
  while (end > 0 && ENDS.includes(link[end - 1])) end -= 1;
  return link.slice(0, end);
}

/** The pair of marks that begins here, if one does. */
function pairAt(text, at, ends) {
  if (text.startsWith("```", at)) {
    const end = ends.fence(at + 3);
    if (end > at + 3 && text.slice(at + 3, end).trim()) return { tag: "code", length: 3, end };
  }
  const mark = text[at];
  if (mark === "`") {
    const end = ends.of(mark, at + 1);
    return end > at + 1 && text.slice(at + 1, end).trim() ? { tag: "code", length: 1, end } : null;
  }
  const tag = TAGS[mark];
  if (!tag || isWord(text[at - 1]) || isSpace(text[at + 1]) || text[at + 1] === mark) return null;
  const end = ends.of(mark, at + 2);
  return end > 0 ? { tag, length: 1, end } : null;
}

/** Where marks can close. Looked for once a line and mark, so that a text of nothing but marks costs no more than another one of its length. */
class Ends {
  #text;
  #links;
  #known = new Map();

  constructor(text, links) {
    this.#text = text;
    this.#links = [...links].map(([at, words]) => [at, at + words.length]);
  }

  /** The first place from `from` on, in the same line, where `mark` closes; 0: none. */
  of(mark, from) {
    const places = this.#known.get(mark) ?? this.#places(mark);
    let [low, high] = [0, places.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (places[middle] < from) low = middle + 1;
      else high = middle;
    }
    const found = places[low];
    // A mark can be the last of `places` before the line ends: what ends the line stands among them.
    return found === undefined || this.#text[found] === "\n" ? 0 : found;
  }

  fence(from) {
    return Math.max(0, this.#text.indexOf("```", from));
  }

  /** All places where `mark` can close, and the ends of the lines. */
  #places(mark) {
    const text = this.#text;
    const places = [];
    let link = 0;
    for (let at = 0; at < text.length; at += 1) {
      while (link < this.#links.length && this.#links[link][1] <= at) link += 1;
      if (link < this.#links.length && this.#links[link][0] <= at) continue;
      const closes = text[at] === mark && (mark === "`" || (!isSpace(text[at - 1]) && !isWord(text[at + 1])));
      if (closes || text[at] === "\n") places.push(at);
    }
    this.#known.set(mark, places);
    return places;
  }
}
