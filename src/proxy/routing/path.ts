/** What to do with `%2F` and `%5C` in a path. */
export type EscapedSlashes = "keep" | "reject" | "unescape-and-forward" | "unescape-and-redirect";

export interface PathOptions {
  /** Remove dot segments and decode unreserved characters, as RFC 3986 (6.2.2) describes. */
  readonly normalize: boolean;
  readonly mergeSlashes: boolean;
  readonly escapedSlashes: EscapedSlashes;
}

const mayNeedNormalizing = /%|\\|\/\.|\/\//;

/** The path in its normal form; undefined when it must be refused. A path in normal form is answered as it is. */
export function normalizePath(path: string, options: PathOptions): string | undefined {
  if (!mayNeedNormalizing.test(path)) return path;
  let out = path;
  if (/%2f|%5c/i.test(out)) {
    if (options.escapedSlashes === "reject") return undefined;
    if (options.escapedSlashes !== "keep") out = out.replaceAll(/%2f/gi, "/").replaceAll(/%5c/gi, "\\");
  }
  if (options.normalize) {
    if (/%(?![0-9a-f]{2})|%00/i.test(out)) return undefined;
    out = removeDotSegments(decodeUnreserved(out.replaceAll("\\", "/")));
  }
  return options.mergeSlashes ? out.replaceAll(/\/{2,}/g, "/") : out;
}

function decodeUnreserved(path: string): string {
  return path.replaceAll(/%([0-9a-f]{2})/gi, (escape, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    return /[A-Za-z0-9\-._~]/.test(character) ? character : escape.toUpperCase();
  });
}

function removeDotSegments(path: string): string {
  if (!path.includes("/.")) return path;
  const out: string[] = [];
  const segments = path.split("/").slice(1);
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (segment === "." || segment === "..") {
      if (segment === "..") out.pop();
      if (last) out.push("");
    } else out.push(segment);
  }
  return `/${out.join("/")}`;
}
