// The place in the list of tenants: what is searched, shown, sorted, and how far down one is. The address says it (`#/?q=…`), so that a
// link, a reload and the browser's Back lead to the same place; this tab keeps the last one for the ways back from a tenant. Signing out
// forgets it: a search may hold a customer's name.

const STORED = "sessiond.list";
const NAMES = ["q", "show", "sort", "at"];

let last = sessionStorage.getItem(STORED) ?? "";
let opened = null;

/** The place that an address's query names; what is missing is an empty text. */
export function placeOf(query) {
  const given = new URLSearchParams(query);
  return Object.fromEntries(NAMES.map((name) => [name, given.get(name) ?? ""]));
}

/** Puts the place into the address, without a step in the browser's history: one cannot go back letter by letter. */
export function setPlace(place) {
  const said = new URLSearchParams(NAMES.filter((name) => place[name]).map((name) => [name, place[name]])).toString();
  last = said;
  sessionStorage.setItem(STORED, said);
  const address = listAddress();
  if (location.hash !== address) history.replaceState(history.state, "", address);
}

/** The way back to the list, as it was left. */
export function listAddress() {
  return last ? `#/?${last}` : "#/";
}

/** The tenant that was looked at last: the list gives it the focus. */
export const leaving = {
  to(tenant) {
    opened = tenant;
  },
  take() {
    const tenant = opened;
    opened = null;
    return tenant;
  },
};

export function forgetPlace() {
  last = "";
  opened = null;
  sessionStorage.removeItem(STORED);
}
