import type { RequestView } from "./request-view.ts";

/** Whether a request matches. A matcher is compiled once for each configuration and runs for each request. */
export type RequestMatcher = (request: RequestView) => boolean;

export type StringMatcher = (text: string) => boolean;

/** A compiled regular expression that must match a whole text. The time is linear in the text's length. */
export interface WholeRegex {
  matchesWhole(text: string): boolean;
}

export function exactly(wanted: string, ignoreCase = false): StringMatcher {
  if (!ignoreCase) return (text) => text === wanted;
  const lower = wanted.toLowerCase();
  return (text) => text.length === lower.length && text.toLowerCase() === lower;
}

export function startingWith(prefix: string, ignoreCase = false): StringMatcher {
  if (prefix === "" || prefix === "/") return (text) => text.startsWith(prefix);
  if (!ignoreCase) return (text) => text.startsWith(prefix);
  const lower = prefix.toLowerCase();
  return (text) => text.toLowerCase().startsWith(lower);
}

export function endingWith(suffix: string, ignoreCase = false): StringMatcher {
  const lower = suffix.toLowerCase();
  return ignoreCase ? (text) => text.toLowerCase().endsWith(lower) : (text) => text.endsWith(suffix);
}

export function containing(part: string, ignoreCase = false): StringMatcher {
  const lower = part.toLowerCase();
  return ignoreCase ? (text) => text.toLowerCase().includes(lower) : (text) => text.includes(part);
}

export function matchingRegex(regex: WholeRegex): StringMatcher {
  return (text) => regex.matchesWhole(text);
}

/**
 * Matches a path and everything below it: `/a` matches `/a` and `/a/b`, but not `/ab`. The prefix has no slash at its
 * end.
 */
export function underPath(prefix: string, ignoreCase = false): StringMatcher {
  const wanted = ignoreCase ? prefix.toLowerCase() : prefix;
  return (text) => {
    const path = ignoreCase ? text.toLowerCase() : text;
    return path.startsWith(wanted) && (path.length === wanted.length || path.charCodeAt(wanted.length) === 47);
  };
}

export function pathIs(matcher: StringMatcher): RequestMatcher {
  return (request) => matcher(request.path);
}

/** A case-sensitive condition on the path of a request, by which an index can find routes. */
export interface PathCondition {
  readonly kind: "exact" | "prefix";
  readonly text: string;
}

export interface HeaderCondition {
  /**
   * The header's name in lower case. `:method`, `:authority`, `:path` and `:scheme` stand for parts of the request
   * line.
   */
  readonly name: string;
  /** The condition on the header's value. If absent, the header must exist, with any value. */
  readonly value?: StringMatcher;
  readonly invert: boolean;
  readonly treatMissingAsEmpty: boolean;
}

/** Matches a header. If it has several values, one of them must match, or none if the condition is inverted. */
export function headerMatches(condition: HeaderCondition): RequestMatcher {
  const { name, value, invert, treatMissingAsEmpty } = condition;
  return (request) => {
    const found = anyValue(request, name, value) ?? (treatMissingAsEmpty ? (value?.("") ?? true) : undefined);
    // If the header is missing, a condition on its value never holds, not even an inverted one. An inverted condition
    // without a value holds.
    if (found === undefined) return value === undefined && invert;
    return found !== invert;
  };
}

/** Whether one of the header's values matches. Undefined if there is no such header. */
function anyValue(request: RequestView, name: string, matches: StringMatcher | undefined): boolean | undefined {
  if (name.charCodeAt(0) === 58 || name === "host") {
    const value = headerValue(request, name);
    return value === undefined ? undefined : (matches?.(value) ?? true);
  }
  if ("values" in request && !(request as EditedRequest).isAsReceived(name)) {
    const values = (request as EditedRequest).values(name);
    return values.length === 0 ? undefined : matches === undefined || values.some(matches);
  }
  const { head } = request;
  let field = head.find(name);
  if (field < 0) return undefined;
  if (matches === undefined) return true;
  for (; field >= 0; field = head.find(name, field + 1)) if (matches(head.value(field))) return true;
  return false;
}

/** A request whose headers may have been changed by filters. */
interface EditedRequest extends RequestView {
  /** Whether the fields of that name are still those of `head`. */
  isAsReceived(name: string): boolean;
  header(name: string): string | undefined;
  values(name: string): readonly string[];
}

/** A header's value, with the edits of filters. The name of a pseudo header returns that part of the request line. */
export function headerValue(request: RequestView, name: string): string | undefined {
  if (name.charCodeAt(0) !== 58 && name !== "host")
    return "header" in request ? (request as EditedRequest).header(name) : request.head.get(name);
  switch (name) {
    case ":method":
      return request.method;
    case ":authority":
    case "host":
      return request.authority;
    case ":scheme":
      return request.scheme;
    case ":path":
      return request.query === "" ? request.path : `${request.path}?${request.query}`;
    default:
      return undefined;
  }
}

/** Matches an integer from `start` up to, but not including, `end`. */
export function inRange(start: bigint, end: bigint): StringMatcher {
  return (text) => {
    if (!/^[+-]?\d{1,19}$/.test(text)) return false;
    const value = BigInt(text.replace("+", ""));
    return value >= start && value < end;
  };
}

/**
 * The first value of a query parameter, as the client wrote it. Empty for a parameter without a value, and undefined if
 * there is no such parameter. `decode` is applied to each name and to the value.
 */
export function queryValue(
  query: string,
  wanted: string,
  decode: (text: string) => string = (text) => text,
): string | undefined {
  if (query === "") return undefined;
  for (const pair of query.split("&")) {
    const equals = pair.indexOf("=");
    if (decode(equals < 0 ? pair : pair.slice(0, equals)) === wanted)
      return equals < 0 ? "" : decode(pair.slice(equals + 1));
  }
  return undefined;
}

/** Matches the first value of a query parameter. Without `value`, the parameter must exist. */
export function queryParameter(name: string, value: StringMatcher | undefined): RequestMatcher {
  return (request) => {
    const found = queryValue(request.query, name);
    return found !== undefined && (value === undefined || value(found));
  };
}

export function allOf(matchers: readonly RequestMatcher[]): RequestMatcher {
  const [first, second] = matchers;
  if (first === undefined) return () => true;
  if (second === undefined) return first;
  return (request) => {
    for (let index = 0; index < matchers.length; index += 1) if (matchers[index]?.(request) === false) return false;
    return true;
  };
}
