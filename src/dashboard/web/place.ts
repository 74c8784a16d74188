/** Where the page is: `#/rollouts/Canary/shop/shop?ns=shop&q=pod` is path `["rollouts","Canary","shop","shop"]` and the query's values. */
export interface Place {
  readonly path: readonly string[];
  readonly query: Readonly<Record<string, string>>;
}

/** Kept from view to view: which namespaces, the measured window, and the moment of time travel. */
const carriedParameters = ["ns", "window", "at"] as const;

/** Reads a fragment, with or without its `#`. What cannot be decoded is taken as it is written. */
export function parsePlace(fragment: string): Place {
  const text = fragment.replace(/^#?\/?/, "");
  const queryAt = text.indexOf("?");
  const pathText = queryAt === -1 ? text : text.slice(0, queryAt);
  const query: Record<string, string> = {};
  if (queryAt !== -1) for (const [key, value] of new URLSearchParams(text.slice(queryAt + 1))) query[key] = value;
  return { path: pathText === "" ? [] : pathText.split("/").map(decode), query };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** The link of a place: relative, so that it holds below any prefix. Parameters are in the order of their names; empty ones are left out. */
export function formatPlace({ path, query }: Place): string {
  const parameters = new URLSearchParams(
    Object.entries(query)
      .filter(([, value]) => value !== "")
      .sort(([a], [b]) => a.localeCompare(b)),
  ).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${parameters === "" ? "" : `?${parameters}`}`;
}

/** Another view, with what is carried from this one. */
export function placeFrom(here: Place, path: readonly string[], query: Readonly<Record<string, string>> = {}): Place {
  const carried: Record<string, string> = {};
  for (const name of carriedParameters) {
    const value = here.query[name];
    if (value !== undefined && value !== "") carried[name] = value;
  }
  return { path, query: { ...carried, ...query } };
}

/** The same view with other parameters; undefined or empty takes one away. */
export function withQuery(here: Place, changes: Readonly<Record<string, string | undefined>>): Place {
  const query: Record<string, string> = { ...here.query };
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined || value === "") delete query[key];
    else query[key] = value;
  }
  return { path: here.path, query };
}
