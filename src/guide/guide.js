// Finds words on the page: hides the parts that have not all of them. Only texts are read and only `hidden` is written.

const field = document.getElementById("find");
const count = document.getElementById("count");

/** Parts of the page: a heading, and what follows it up to the next one. */
const parts = [];
for (const node of document.getElementById("text").children) {
  if (/^H[1-6]$/.test(node.tagName) || parts.length === 0) parts.push({ id: node.id, nodes: [], text: "" });
  const part = parts.at(-1);
  part.nodes.push(node);
  part.text += ` ${node.textContent.toLowerCase()}`;
}

const entries = new Map([...document.querySelectorAll("#here li")].map((entry) =>
  [decodeURIComponent(entry.firstElementChild.hash.slice(1)), entry]));

function find() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const { id, nodes, text } of parts) {
    const hidden = !words.every((word) => text.includes(word));
    found += !hidden;
    for (const node of nodes) node.hidden = hidden;
    const entry = entries.get(id);
    if (entry) entry.hidden = hidden;
  }
  count.textContent = words.length ? `${found} of ${parts.length} parts` : "";
}

field.addEventListener("input", find);
// A link to a part that is hidden shows everything again.
addEventListener("hashchange", () => {
  if (!document.getElementById(location.hash.slice(1))?.hidden) return;
  field.value = "";
  find();
  document.getElementById(location.hash.slice(1)).scrollIntoView();
});
