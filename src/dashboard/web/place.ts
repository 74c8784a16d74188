/**
 * A place in the page. `#/rollouts/Canary/shop/shop?ns=shop&q=pod` has the path `["rollouts","Canary","shop","shop"]`,
 * and a query.
 */
export interface Place {
  readonly path: readonly string[];
  readonly query: Readonly<Record<string, string>>;
}

/** The parameters that links to other views keep: namespaces, window and moment. */
const carriedParameters = ["ns", "window", "at"] as const;

/** Parses a fragment, with or without its `#`. Leaves parts unchanged that cannot be decoded. */
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

/**
 * The link to a place. It is relative, so that it works below any prefix. Sorts the parameters, and leaves out empty
 * ones.
 */
export function formatPlace({ path, query }: Place): string {
  const parameters = new URLSearchParams(
    Object.entries(query)
      .filter(([, value]) => value !== "")
      .sort(([a], [b]) => a.localeCompare(b)),
  ).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${parameters === "" ? "" : `?${parameters}`}`;
}

/** A place in another view. It keeps the parameters that all views have. */
export function placeFrom(here: Place, path: readonly string[], query: Readonly<Record<string, string>> = {}): Place {
  const carried: Record<string, string> = {};
  for (const name of carriedParameters) {
    const value = here.query[name];
    if (value !== undefined && value !== "") carried[name] = value;
  }
  return { path, query: { ...carried, ...query } };
}

/** The same view with changed parameters. Undefined or empty removes a parameter. */
export function withQuery(here: Place, changes: Readonly<Record<string, string | undefined>>): Place {
  const query: Record<string, string> = { ...here.query };
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined || value === "") delete query[key];
    else query[key] = value;
  }
  return { path: here.path, query };
}
