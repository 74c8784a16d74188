// Checks of the host names that Istio accepts. Each `…Fault` returns the fault, or undefined if the name is valid.

const labelPattern = /^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$/;
const wildcardLabelPattern = /^(\*|(\*|\*-)?[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?)$/;
const maxLabelLength = 63;
const maxDomainLength = 255;

export function isDnsLabel(value: string): boolean {
  return value.length <= maxLabelLength && labelPattern.test(value);
}

/** The fault of a name without wildcards. A single label is valid. */
export function domainFault(name: string): string | undefined {
  return lengthFault(name) ?? labelsFault(name, name);
}

/** The fault of a name whose first label may be `*` or begin with `*`. */
export function wildcardDomainFault(name: string): string | undefined {
  const tooLong = lengthFault(name);
  if (tooLong !== undefined) return tooLong;
  const dot = name.indexOf(".");
  const first = dot === -1 ? name : name.slice(0, dot);
  if (first.length > maxLabelLength || !wildcardLabelPattern.test(first))
    return `must be a DNS name, which may begin with a wildcard, got "${name}" (its label "${first}" is not valid)`;
  return dot === -1 ? undefined : labelsFault(name.slice(dot + 1), name);
}

/**
 * Whether the name has a wildcard within its first label, as `*foo.example.com` has. Proxies can match such a name only
 * in some fields.
 */
export function hasPartialWildcard(name: string): boolean {
  return name.includes("*") && name.length !== 1 && !name.startsWith("*.");
}

function lengthFault(name: string): string | undefined {
  if (name === "") return "must not be empty";
  return name.length > maxDomainLength
    ? `must have at most ${maxDomainLength} characters, got ${name.length}`
    : undefined;
}

function labelsFault(name: string, whole: string): string | undefined {
  const labels = name.split(".");
  const last = labels.at(-1) ?? "";
  if (/^[+-]?\d+$/.test(last)) return `must be a DNS name, got "${whole}" (its last part is a number)`;
  // A trailing dot marks a name as absolute.
  if (last === "" && labels.length > 1) labels.pop();
  const bad = labels.find((label) => !isDnsLabel(label));
  return bad === undefined ? undefined : `must be a DNS name, got "${whole}" (its label "${bad}" is not valid)`;
}

interface OpenWildcard {
  readonly key: string;
  readonly index: number;
  /** The lowest index among this name and the wildcards that contain it. */
  readonly firstAbove: number;
  /** The lowest index among this name and the names that it contains. */
  firstWithin: number;
}

/**
 * For each name, the first earlier name in the list that overlaps with it. Names may be wildcards. The function sorts
 * the names by suffix, so that the names within a wildcard follow it directly. Comparing all pairs would block the
 * process for objects with thousands of names.
 */
export function firstOverlaps(names: readonly string[]): readonly (string | undefined)[] {
  const first: number[] = names.map((_name, index) => index);
  const note = (index: number, other: number): void => {
    first[index] = Math.min(first[index] ?? index, other);
  };
  const open: OpenWildcard[] = [];
  const close = (): void => {
    const closed = open.pop();
    if (closed === undefined) return;
    note(closed.index, closed.firstWithin);
    const around = open.at(-1);
    if (around !== undefined) around.firstWithin = Math.min(around.firstWithin, closed.firstWithin);
  };
  const same = new Map<string, number>();
  for (const { key, isWildcard, index } of sortedByEnd(names)) {
    while (open.length > 0 && !key.startsWith(open.at(-1)?.key ?? "")) close();
    const around = open.at(-1);
    if (around !== undefined) note(index, around.firstAbove);
    if (isWildcard) {
      const firstAbove = Math.min(index, around?.firstAbove ?? index);
      open.push({ key, index, firstAbove, firstWithin: index });
      continue;
    }
    note(index, same.get(key) ?? index);
    if (!same.has(key)) same.set(key, index);
    if (around !== undefined) around.firstWithin = Math.min(around.firstWithin, index);
  }
  while (open.length > 0) close();
  return first.map((other, index) => (other < index ? names[other] : undefined));
}

/** Sorts names by suffix. Among equal suffixes, wildcards come first, and the others keep their order. */
function sortedByEnd(names: readonly string[]): { key: string; isWildcard: boolean; index: number }[] {
  return names
    .map((name, index) => {
      const isWildcard = name.startsWith("*");
      return { key: backwards(isWildcard ? name.slice(1) : name), isWildcard, index };
    })
    .sort((a, b) => {
      if (a.key !== b.key) return a.key < b.key ? -1 : 1;
      return a.isWildcard === b.isWildcard ? a.index - b.index : a.isWildcard ? -1 : 1;
    });
}

function backwards(text: string): string {
  let reversed = "";
  for (let at = text.length - 1; at >= 0; at -= 1) reversed += text.charAt(at);
  return reversed;
}

const sets = new WeakMap<readonly string[], ReadonlySet<string>>();

/** Whether one of the other names equals or contains this name. */
export function isWithinOneOf(name: string, others: readonly string[]): boolean {
  let known = sets.get(others);
  if (known === undefined) sets.set(others, (known = new Set(others)));
  if (known.has(name) || known.has("*")) return true;
  const whole = name.replace(/^\*/, "");
  const from = whole === name ? 1 : 0;
  for (let at = from; at < whole.length && at <= maxDomainLength; at += 1)
    if (known.has(`*${whole.slice(at)}`)) return true;
  return false;
}
