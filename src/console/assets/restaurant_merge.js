// Two versions of the settings, and what becomes of both. Settings are compared by their names; texts one by one.

export const same = (one, other) => JSON.stringify(one ?? null) === JSON.stringify(other ?? null);

/** The names under which two objects differ. */
export function changed(before, after) {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((key) => !same(before[key], after[key]));
}

/** What was changed from `untouched` to `mine`, done to `theirs`. */
export function merged(theirs, untouched, mine) {
  const result = { ...theirs };
  for (const key of changed(untouched, mine)) {
    if (key !== "texts") {
      result[key] = mine[key];
      continue;
    }
    result.texts = { ...theirs.texts };
    for (const name of changed(untouched.texts, mine.texts)) {
      if (name in mine.texts) result.texts[name] = mine.texts[name];
      else delete result.texts[name];
    }
  }
  return result;
}
