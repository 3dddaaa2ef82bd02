// Files of messages: fetched with the operator's key and shown from memory. What a file says that it is decides only how it is shown; nothing that
// could run is ever opened in this origin.

import { file, Problem } from "./api.js";
import { fill, h } from "./dom.js";
import { show, words } from "./dialog.js";
import { duration, size } from "./format.js";
import { icon } from "./icons.js";
import { label, name } from "./text.js";
import { t } from "./words.js";

/** Pictures that a browser draws and nothing else: no SVG. */
const PICTURES = ["image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"];

const SIGNS = { image: "image", sticker: "image", video: "video", audio: "sound", document: "file" };

/** The files of one thread: what was fetched is let go with it. */
export class Files {
  #urls = new Map();
  #closed = false;
  /** Pictures are fetched when they are about to be seen. */
  #watch = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      this.#watch.unobserve(target);
      target.load?.();
    }
  }, { rootMargin: "400px" });

  /** A file, as a node. Without an address there is what the message itself says. */
  view(content, address) {
    const place = h("div", { class: `file ${content.kind}`, "data-file": content.kind });
    const isPicture = content.kind === "image" || content.kind === "sticker";
    if (isPicture) this.#picture(place, content, address);
    else fill(place, this.#card(place, content, address));
    return place;
  }

  close() {
    this.#closed = true;
    this.#watch.disconnect();
    for (const url of this.#urls.values()) url.then(({ url }) => URL.revokeObjectURL(url), () => {});
  }

  /** Fetches once, however often it is shown. */
  #fetch(address) {
    if (!this.#urls.has(address)) {
      const fetching = file(address).then((blob) => ({ blob, url: URL.createObjectURL(blob) }));
      this.#urls.set(address, fetching);
      fetching.then(({ url }) => this.#closed && URL.revokeObjectURL(url), () => this.#urls.delete(address));
    }
    return this.#urls.get(address);
  }

  #picture(place, content, address) {
    const image = h("img", { class: content.kind === "sticker" ? "sticker-image" : "", alt: label(content.caption) || t(`kind.${content.kind}`), width: content.width, height: content.height });
    const small = thumbnail(content);
    if (small) {
      image.src = small;
      image.addEventListener("load", () => URL.revokeObjectURL(small), { once: true });
    }
    fill(place, small ? image : h("div", { class: "blank-picture" }, icon("image"), h("span", null, t(address ? "loading" : "file.absent"))));
    if (!address) return;
    place.load = async () => {
      try {
        const { blob, url } = await this.#fetch(address);
        if (!PICTURES.includes(blob.type)) throw new Problem(415, { title: t("file.no_picture") });
        image.src = url;
        await image.decode();
        fill(place, h("button", { type: "button", class: "picture-button", "aria-label": t("file.enlarge", { name: image.alt }), onclick: () => enlarge(image) }, image));
      } catch (error) {
        fill(place, this.#failed(place, content, address, error));
      }
    };
    this.#watch.observe(place);
  }

  /** Everything that is not shown at once: with a button that fetches it. */
  #card(place, content, address) {
    const isVoice = content.kind === "audio" && content.voice;
    const plays = content.kind === "audio" || content.kind === "video";
    const facts = [content.seconds && duration(content.seconds), content.size && size(content.size), label(content.mimetype).split(";")[0].slice(0, 60)].filter(Boolean);
    const fetch = async () => {
      fill(place, this.#line(content, isVoice, [t("loading")]));
      try {
        const { blob, url } = await this.#fetch(address);
        if (plays && blob.type.startsWith(`${content.kind}/`)) fill(place, player(content, url));
        else save(blob, content, place, this.#line(content, isVoice, facts), fetch);
      } catch (error) {
        fill(place, this.#failed(place, content, address, error));
      }
    };
    const button = address && h("button", { type: "button", class: "button small", onclick: fetch }, icon(plays ? "sound" : "down"), t(plays ? "file.play" : "file.download"));
    return [this.#line(content, isVoice, address ? facts : [...facts, t("file.absent")]), button];
  }

  #line(content, isVoice, facts) {
    const called = content.file_name ? name(content.file_name) : t(isVoice ? "kind.voice" : `kind.${content.kind}`);
    return h("div", { class: "card" }, icon(isVoice ? "voice" : SIGNS[content.kind]), h("div", null, h("strong", null, called), h("p", { class: "small muted" }, facts.join(" · "))));
  }

  #failed(place, content, address, error) {
    const retry = () => place.replaceWith(this.view(content, address));
    return [this.#line(content, false, [words(error)]), h("button", { type: "button", class: "button small", onclick: retry }, icon("refresh"), t("retry"))];
  }
}

/** The small picture that comes with the message. */
function thumbnail({ thumbnail: base64 }) {
  if (!base64) return null;
  try {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const type = bytes[0] === 0x89 ? "image/png" : "image/jpeg";
    return URL.createObjectURL(new Blob([bytes], { type }));
  } catch {
    return null;
  }
}

function player(content, url) {
  const tag = content.kind === "video" ? "video" : "audio";
  const element = h(tag, { controls: true, src: url, "aria-label": t(`kind.${content.kind}`), width: content.width, height: content.height });
  if (content.animated) Object.assign(element, { loop: true, muted: true });
  element.play().catch(() => {});
  return element;
}

/** Saved, never opened: as bytes without a kind, so that no browser shows them here. */
function save(blob, content, place, line, again) {
  const url = URL.createObjectURL(new Blob([blob], { type: "application/octet-stream" }));
  const fallback = `${content.kind}.${label(content.mimetype).split(/[/;]/)[1] ?? "bin"}`;
  const link = h("a", { href: url, download: label(content.file_name).replace(/[/\\]/g, "_") || fallback });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  fill(place, line, h("button", { type: "button", class: "button small", onclick: again }, icon("down"), t("file.download")));
}

function enlarge(image) {
  show(image.alt, (close, head) => h("div", { class: "sheet" }, h("div", { class: "row" }, head, h("button", { type: "button", class: "button", onclick: () => close("") }, icon("cross"), t("close"))),
    h("img", { src: image.src, alt: image.alt })), { class: "picture" });
}
