const maxDepth = 100;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Parses a JSON object that every parser reads in the same way: valid UTF-8, no name twice in an object, no lone
 * surrogate, at most 100 levels deep. Returns undefined for anything else. Otherwise the code that verifies a token and
 * the code that uses it could see different claims.
 */
export function strictJsonObject(bytes: Buffer): Record<string, unknown> | undefined {
  try {
    const text = utf8.decode(bytes);
    const value: unknown = isTooDeep(text) ? undefined : JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    return hasUniqueNames(text) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function isTooDeep(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charCodeAt(at);
    if (character === quote) at = endOfString(text, at);
    else if (character === openObject || character === openList) depth += 1;
    else if (character === closeObject || character === closeList) depth -= 1;
    if (depth > maxDepth) return true;
  }
  return false;
}

const quote = 34;
const backslash = 92;
const openObject = 123;
const closeObject = 125;
const openList = 91;
const closeList = 93;

/** The index of the quote that closes the string that begins at `start`. The end of the text if there is none. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== quote) at += text.charCodeAt(at) === backslash ? 2 : 1;
  return at;
}

/** Whether no object has a name twice. The text must be valid JSON: then each string before a colon is a name. */
function hasUniqueNames(text: string): boolean {
  const open: Set<string>[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charCodeAt(at);
    if (character === openObject || character === openList) open.push(new Set());
    else if (character === closeObject || character === closeList) open.pop();
    if (character !== quote) continue;
    const end = endOfString(text, at);
    const decoded = JSON.parse(text.slice(at, end + 1)) as string;
    if (!decoded.isWellFormed()) return false;
    at = end;
    let next = end + 1;
    while (isSpace(text.charCodeAt(next))) next += 1;
    if (text.charCodeAt(next) !== colon) continue;
    const names = open.at(-1);
    if (names?.has(decoded) === true) return false;
    names?.add(decoded);
  }
  return true;
}

const colon = 58;

function isSpace(character: number): boolean {
  return character === 32 || character === 9 || character === 10 || character === 13;
}
