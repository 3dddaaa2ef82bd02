// Shows the OpenAPI document beside it, and tries calls. Everything goes in as text, whatever stands in the document or comes as an answer.

const METHODS = ["get", "post", "put", "patch", "delete"];
const at = (id) => document.getElementById(id);

/** An element with properties and children; a child that is a string is text. */
function make(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** Paragraphs with `code`, *emphasis* and **strong**, which is all that our texts have of Markdown. */
function prose(text) {
  const inline = (part) => {
    if (part.startsWith("`")) return make("code", {}, part.slice(1, -1));
    if (part.startsWith("**")) return make("strong", {}, part.slice(2, -2));
    if (part.startsWith("*")) return make("em", {}, part.slice(1, -1));
    return part;
  };
  const paragraph = (text) => make("p", {}, text.split(/(`[^`]+`|\*\*[^*]+\*\*|\*[^*\s][^*]*\*)/).filter(Boolean).map(inline));
  return (text ?? "").split(/\n\n+/).filter((text) => text.trim()).map(paragraph);
}

class Page {
  constructor(spec) {
    this.spec = spec;
  }

  /** What a reference of this document means. */
  resolve(thing) {
    const seen = new Set();
    while (typeof thing?.$ref === "string" && thing.$ref.startsWith("#/") && !seen.has(thing.$ref)) {
      seen.add(thing.$ref);
      const steps = thing.$ref.slice(2).split("/").map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
      thing = steps.reduce((inside, step) => inside?.[step], this.spec);
    }
    return thing ?? {};
  }

  show() {
    const { info, tags = [], paths = {}, webhooks = {} } = this.spec;
    at("version").textContent = info.version;
    at("about").append(...prose(info.description));
    const groups = new Map(tags.map((tag) => [tag.name, []]));
    const collect = (entries, isWebhook) => {
      for (const [path, item] of Object.entries(entries)) {
        for (const method of METHODS.filter((method) => item[method])) {
          const operation = item[method];
          const tag = isWebhook ? "Events for webhooks" : (operation.tags?.[0] ?? "Other");
          if (!groups.has(tag)) groups.set(tag, []);
          groups.get(tag).push(this.operation(method, path, operation, isWebhook));
        }
      }
    };
    collect(paths, false);
    collect(webhooks, true);
    for (const [name, operations] of groups) {
      const id = `section-${name.replaceAll(/\W+/g, "-")}`;
      at("operations").append(make("section", {}, make("h2", { id, tabIndex: -1 }, name), operations));
      at("sections").append(make("li", {}, make("a", { href: `#${id}` }, name)));
    }
  }

  operation(method, path, operation, isWebhook) {
    const details = make("details", { className: "operation", id: operation.operationId ?? "" },
      make("summary", {},
        make("span", { className: `method ${method}` }, isWebhook ? "EVENT" : method.toUpperCase()),
        make("span", { className: "path" }, path),
        make("span", { className: "what" }, operation.summary ?? "")));
    details.dataset.words = `${method} ${path} ${operation.summary ?? ""} ${(operation.tags ?? []).join(" ")}`.toLowerCase();
    // Filled when it is opened: there are hundreds.
    details.addEventListener("toggle", () => {
      if (details.open && details.childElementCount === 1) details.append(this.inside(method, path, operation, isWebhook));
    });
    return details;
  }

  inside(method, path, operation, isWebhook) {
    const inside = make("div", { className: "inside" }, prose(operation.description));
    if (!isWebhook) inside.append(make("p", { className: "faint" }, this.security(operation)));
    const parameters = (operation.parameters ?? []).map((parameter) => this.resolve(parameter));
    if (parameters.length) {
      inside.append(make("h3", {}, "Parameters"), make("dl", {}, parameters.flatMap((parameter) =>
        this.field(parameter.name, parameter.schema ?? {}, parameter.required, `in ${parameter.in}`, parameter.description))));
    }
    const body = operation.requestBody && this.resolve(operation.requestBody);
    if (body) inside.append(make("h3", {}, "Body"), ...this.contents(body.content, true));
    inside.append(make("h3", {}, "Answers"), ...Object.entries(operation.responses ?? {}).map(([status, answer]) => this.answer(status, answer)));
    if (!isWebhook) {
      inside.append(make("h3", {}, "curl"), code(this.curl(method, path, operation, parameters, body), "curl command"));
      inside.append(make("h3", {}, "Try it"), this.trial(method, path, operation, parameters, body));
    }
    return inside;
  }

  security(operation) {
    const needs = operation.security ?? this.spec.security ?? [];
    if (!needs.length) return "Open to everybody.";
    const scopes = Object.values(needs[0])[0] ?? [];
    return scopes.length ? `Needs a key with the scope ${scopes.join(", ")}, or a token.` : "Needs a key or a token.";
  }

  contents(content = {}, isRequest = false) {
    return Object.entries(content).flatMap(([type, { schema = {} }]) => {
      const example = isRequest && this.example(schema);
      return [
        make("p", { className: "faint" }, type),
        this.schema(schema),
        example !== undefined && isRequest ? code(JSON.stringify(example, null, 2), "example") : null,
      ].filter(Boolean);
    });
  }

  answer(status, answer) {
    const { description = "", content = {}, headers = {} } = this.resolve(answer);
    const title = [make("code", {}, status), ` ${description}`];
    if (!Object.keys(content).length && !Object.keys(headers).length) return make("p", { className: "answer" }, title);
    const details = make("details", { className: "answer" }, make("summary", {}, title));
    details.addEventListener("toggle", () => {
      if (!details.open || details.childElementCount > 1) return;
      const fields = Object.entries(headers).flatMap(([name, header]) =>
        this.field(name, header.schema ?? {}, header.required, "header", header.description));
      details.append(make("dl", {}, fields), ...this.contents(content));
    });
    return details;
  }

  /** In a few words. */
  type(schema) {
    if (schema === true) return "anything";
    if (schema.$ref) return schema.$ref.split("/").pop();
    if ("const" in schema) return JSON.stringify(schema.const);
    if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
    const several = schema.anyOf ?? schema.oneOf;
    if (several) return several.map((one) => this.type(one)).join(" or ");
    const types = [schema.type ?? "anything"].flat();
    return types.map((type) => (type === "array" ? `list of ${this.type(schema.items ?? true)}` : type)).join(" or ");
  }

  limits(schema) {
    if (schema === true) return "";
    const words = { minLength: "at least", maxLength: "at most", minItems: "at least", maxItems: "at most", minimum: "from", maximum: "to" };
    const found = Object.entries(words).filter(([name]) => name in schema && schema[name] !== 0).map(([name, word]) => `${word} ${schema[name]}`);
    return found.length ? ` (${found.join(", ")})` : "";
  }

  field(name, schema, required, place, description) {
    const term = make("dt", {}, make("code", {}, name), " ",
      make("span", { className: "type" }, this.type(schema) + this.limits(schema), place ? `, ${place}` : ""),
      required ? make("span", { className: "must" }, " required") : null);
    return [term, make("dd", {}, prose(description ?? schema.description), this.within(schema))];
  }

  /** What there is below a field, to be opened. */
  within(schema) {
    const parts = this.parts(schema);
    if (!parts.length) return null;
    const details = make("details", {}, make("summary", { className: "faint" }, parts.map((part) => this.type(part)).join(" or ")));
    details.addEventListener("toggle", () => {
      if (details.open && details.childElementCount === 1) details.append(...parts.map((part) => this.schema(part)));
    });
    return details;
  }

  /** The objects that a schema speaks of. */
  parts(schema) {
    if (schema === true || !schema) return [];
    if (schema.items) return this.parts(schema.items);
    const several = schema.anyOf ?? schema.oneOf;
    if (several) return several.flatMap((one) => this.parts(one));
    const meant = this.resolve(schema);
    return meant.properties || meant.allOf || meant.anyOf || meant.oneOf ? [schema] : [];
  }

  schema(schema) {
    const meant = this.resolve(schema);
    const box = make("div", {}, schema.$ref ? prose(meant.description) : []);
    const properties = Object.entries(meant.properties ?? {});
    if (properties.length) {
      box.append(make("dl", {}, properties.flatMap(([name, one]) => this.field(name, one, meant.required?.includes(name)))));
    } else if (meant.items) {
      box.append(make("p", { className: "faint" }, "A list of:"), this.schema(meant.items));
    } else if (!meant.allOf && !meant.anyOf && !meant.oneOf) {
      box.append(make("p", {}, this.type(meant)));
    }
    for (const part of meant.allOf ?? []) box.append(this.schema(part));
    (meant.anyOf ?? meant.oneOf ?? []).forEach((part, n) => {
      if (n || properties.length) box.append(make("p", { className: "faint" }, n ? "or" : "and one of"));
      box.append(this.schema(part));
    });
    return box;
  }

  /** A value that the schema shows, or one made of those that its fields show. */
  example(schema, depth = 0) {
    if (depth > 6 || schema === true) return undefined;
    const meant = this.resolve(schema);
    if (meant.examples?.length) return meant.examples[0];
    if ("const" in meant) return meant.const;
    if (meant.enum) return meant.enum[0];
    const several = meant.anyOf ?? meant.oneOf;
    if (several) return this.example(several[0], depth + 1);
    const type = [meant.type].flat()[0];
    if (type === "array") {
      const item = this.example(meant.items ?? true, depth + 1);
      return item === undefined ? [] : [item];
    }
    if (type === "object" || meant.properties) {
      const shown = Object.entries(meant.properties ?? {}).filter(([name, one]) => meant.required?.includes(name) || this.resolve(one).examples);
      return Object.fromEntries(shown.map(([name, one]) => [name, this.example(one, depth + 1)]).filter(([, value]) => value !== undefined));
    }
    return { string: "…", integer: 1, number: 1, boolean: true }[type];
  }

  /** A form that sends the call, and its answer. */
  trial(method, path, operation, parameters, body) {
    const prefix = (operation.operationId ?? path).replaceAll(/\W+/g, "-");
    const input = (name, label, element) => {
      element.id = `try-${prefix}-${name.replaceAll(/\W+/g, "-")}`;
      const tag = make("label", { htmlFor: element.id }, label);
      return make("div", { className: "entry" }, tag, element);
    };
    const entries = parameters.filter((one) => one.in === "path" || one.in === "query" || one.in === "header").map((parameter) => {
      const example = this.example(parameter.schema ?? {});
      const value = parameter.required && example !== undefined && example !== "…" ? String(example) : "";
      const field = make("input", { type: "text", value, required: Boolean(parameter.required), autocomplete: "off", spellcheck: false });
      return { parameter, field, node: input(parameter.name, `${parameter.name} (${parameter.in}${parameter.required ? ", required" : ""})`, field) };
    });
    const json = body?.content?.["application/json"];
    const example = json && this.example(json.schema ?? {});
    const text = json && make("textarea", { rows: 8, value: example === undefined ? "{}" : JSON.stringify(example, null, 2), spellcheck: false });
    const otherBody = body && !json;
    const outcome = make("div", { className: "outcome" });
    outcome.setAttribute("role", "status");
    const button = make("button", { type: "submit" }, `Send ${method.toUpperCase()}`);
    const form = make("form", { className: "try" }, entries.map(({ node }) => node), text ? input("body", "Body (JSON)", text) : null,
      otherBody ? make("p", { className: "faint" }, "This body is no JSON: use curl.") : null, make("div", {}, button), outcome);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (button.disabled) return;
      button.disabled = true;
      try {
        outcome.replaceChildren(await call(method, path, entries, text?.value));
      } catch (error) {
        outcome.replaceChildren(make("p", { className: "failure" }, `No answer. ${error.message}`));
      }
      button.disabled = false;
      button.focus();
    });
    return form;
  }

  curl(method, path, operation, parameters, body) {
    const value = (parameter) => encodeURIComponent(this.example(parameter.schema ?? {}) ?? parameter.name);
    let url = path;
    for (const parameter of parameters.filter((one) => one.in === "path")) url = url.replace(`{${parameter.name}}`, () => value(parameter));
    const query = parameters.filter((one) => one.in === "query" && one.required).map((one) => `${one.name}=${value(one)}`);
    if (query.length) url += `?${query.join("&")}`;
    const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
    const lines = [`curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}${quoted(addressOf(url))}`];
    if ((operation.security ?? []).length) lines.push(`-H "X-Api-Key: $KEY"`);
    const example = body?.content?.["application/json"] && this.example(body.content["application/json"].schema ?? {});
    if (example !== undefined && example !== null && body) {
      lines.push("-H 'content-type: application/json'", `-d ${quoted(JSON.stringify(example))}`);
    }
    return lines.join(" \\\n  ");
  }
}

/** The whole address of a path of the API, also behind a proxy that serves us below a path of its own. */
function addressOf(path) {
  return new URL(".", location.href).href.replace(/\/$/, "") + path;
}

/** Sends what a form says, and shows what comes. */
async function call(method, path, entries, body) {
  const headers = {};
  const query = new URLSearchParams();
  let url = path;
  for (const { parameter, field } of entries) {
    const value = field.value;
    if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, () => encodeURIComponent(value));
    else if (value === "") continue;
    else if (parameter.in === "query") query.append(parameter.name, value);
    else headers[parameter.name] = value;
  }
  if (key()) headers["X-Api-Key"] = key();
  if (body !== undefined) {
    JSON.parse(body);
    headers["Content-Type"] = "application/json";
  }
  const before = performance.now();
  const options = { method: method.toUpperCase(), headers, body, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(120_000) };
  const answer = await fetch(addressOf(url) + (query.size ? `?${query}` : ""), options);
  const type = answer.headers.get("content-type") ?? "";
  const bytes = await answer.arrayBuffer();
  const title = make("p", { className: answer.ok ? "" : "failure" }, make("strong", {}, `${answer.status} ${answer.statusText}`), ` · ${Math.round(performance.now() - before)} ms · ${bytes.byteLength} bytes${type ? ` · ${type}` : ""}`);
  if (bytes.byteLength === 0) return title;
  if (!/json|^text\//.test(type)) return make("div", {}, title, make("p", { className: "faint" }, "Not a text: it is not shown."));
  return make("div", {}, title, code(pretty(new TextDecoder().decode(bytes), type), "answer"));
}

/** As much of an answer as a page can show. */
const SHOWN = 200_000;

function pretty(text, type) {
  let shown = text;
  try {
    if (/json/.test(type)) shown = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // It calls itself JSON. As it came, then.
  }
  return shown.length > SHOWN ? `${shown.slice(0, SHOWN)}\n… ${shown.length - SHOWN} characters more` : shown;
}

function say(text) {
  at("said").textContent = "";
  // An equal text is said again, too.
  setTimeout(() => { at("said").textContent = text; }, 20);
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { at("said").textContent = ""; }, 4000);
}

/** A text that can be copied. */
function code(text, name) {
  const pre = make("pre", { tabIndex: 0 }, text);
  pre.setAttribute("aria-label", name);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(pre.textContent);
      say("Copied.");
    } catch {
      // Browsers give the clipboard to pages of https and of this machine only.
      getSelection().selectAllChildren(pre);
      say("Selected: copy it with your keyboard.");
    }
  };
  const button = make("button", { type: "button", className: "copy", onclick: copy }, "Copy");
  button.setAttribute("aria-label", `Copy the ${name}`);
  return make("div", { className: "code" }, pre, button);
}

/** The key that calls are tried with: the one that is typed here, else the console's of this tab. It goes in a header, and is not kept. */
function key() {
  return at("key").value.trim() || consoleKey();
}

function consoleKey() {
  try {
    return sessionStorage.getItem("sessiond.key") ?? "";
  } catch {
    return "";
  }
}

function tellWhose() {
  const typed = at("key").value.trim() !== "";
  at("whose").textContent = typed ? "This key is used. It is forgotten with the page." : consoleKey() ? "Empty: the console's key of this tab is used." : "Empty: calls go without a key.";
}

function filter(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const section of document.querySelectorAll("#operations section")) {
    let shown = 0;
    for (const operation of section.querySelectorAll("details.operation")) {
      operation.hidden = !words.every((word) => operation.dataset.words.includes(word));
      shown += operation.hidden ? 0 : 1;
    }
    section.hidden = !shown;
    count += shown;
  }
  at("count").textContent = count === 1 ? "1 operation" : `${count} operations`;
}

/** Opens the operation that the address names. */
function open() {
  const named = location.hash.length > 1 ? at(decodeURIComponent(location.hash.slice(1))) : null;
  if (named instanceof HTMLDetailsElement) named.open = true;
  named?.scrollIntoView();
}

try {
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
  new Page(await answer.json()).show();
  filter("");
  open();
  addEventListener("hashchange", open);
  at("filter").addEventListener("input", (event) => filter(event.target.value));
  at("key").addEventListener("input", tellWhose);
  at("who").addEventListener("submit", (event) => event.preventDefault());
  tellWhose();
} catch (error) {
  at("about").append(make("p", { className: "failure", role: "alert" }, `The document cannot be shown. ${error.message}`));
}
