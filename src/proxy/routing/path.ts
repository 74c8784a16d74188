/** What happens to `%2F` and `%5C` in a path. */
export type EscapedSlashes = "keep" | "reject" | "unescape-and-forward" | "unescape-and-redirect";

export interface PathOptions {
  /** Whether dot segments are removed and unreserved characters decoded, as RFC 3986 (6.2.2) describes. */
  readonly normalize: boolean;
  readonly mergeSlashes: boolean;
  readonly escapedSlashes: EscapedSlashes;
}

const mayNeedNormalizing = /[%\\"<>^`{|}]|\/\.|\/\//;

/** Normalizes a path. Returns undefined if the request must be rejected. */
export function normalizePath(path: string, options: PathOptions): string | undefined {
  if (!mayNeedNormalizing.test(path)) return path;
  let out = path;
  if (/%2f|%5c/i.test(out)) {
    if (options.escapedSlashes === "reject") return undefined;
    if (options.escapedSlashes !== "keep") out = out.replaceAll(/%2f/gi, "/").replaceAll(/%5c/gi, "\\");
  }
  if (options.normalize) {
    const decoded = /%00/.test(out) ? undefined : decodeUnreserved(out.replaceAll("\\", "/"));
    if (decoded === undefined) return undefined;
    out = removeDotSegments(decoded.replaceAll(/["<>^`{|}]/g, (character) => escapeOf(character)));
  }
  return options.mergeSlashes ? out.replaceAll(/\/{2,}/g, "/") : out;
}

/**
 * Decodes unreserved characters. Other escapes, and a `%` that begins no escape, stay as the client wrote them. Returns
 * undefined if decoding creates a new escape (`%%32f` becomes `%2f`), because the upstream would read another path than
 * the one that was checked.
 */
function decodeUnreserved(path: string): string | undefined {
  if (!path.includes("%")) return path;
  let kept = 0;
  const decoded = path.replaceAll(escapes, (escape) => {
    const character = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
    if (/[A-Za-z0-9\-._~]/.test(character)) return character;
    kept += 1;
    return escape;
  });
  return (decoded.match(escapes)?.length ?? 0) === kept ? decoded : undefined;
}

const escapes = /%[0-9a-f]{2}/gi;

function escapeOf(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

/** Matches a dot segment. Servers that support path parameters treat `..;x` as `..`. */
const dotSegment = /^\.\.?(;|$)/;

function removeDotSegments(path: string): string {
  if (!path.includes("/.")) return path;
  const out: string[] = [];
  const segments = path.split("/").slice(1);
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (dotSegment.test(segment)) {
      if (segment.startsWith("..")) out.pop();
      if (last) out.push("");
    } else out.push(segment);
  }
  return `/${out.join("/")}`;
}
