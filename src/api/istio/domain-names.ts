/** Names of hosts as Istio takes them. Each `…Fault` says what is wrong, or undefined. */

const labelPattern = /^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$/;
const wildcardLabelPattern = /^(\*|(\*|\*-)?[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?)$/;
const maxLabelLength = 63;
const maxDomainLength = 255;

/** A label of DNS: letters, digits and dashes, at most 63, beginning and ending with a letter or digit. */
export function isDnsLabel(value: string): boolean {
  return value.length <= maxLabelLength && labelPattern.test(value);
}

/** A full name without wildcards. A short name of one label is one too. */
export function domainFault(name: string): string | undefined {
  return lengthFault(name) ?? labelsFault(name, name);
}

/** A name whose first label may be `*`, or begin with `*`. */
export function wildcardDomainFault(name: string): string | undefined {
  const tooLong = lengthFault(name);
  if (tooLong !== undefined) return tooLong;
  const dot = name.indexOf(".");
  const first = dot === -1 ? name : name.slice(0, dot);
  if (first.length > maxLabelLength || !wildcardLabelPattern.test(first))
    return `must be a DNS name, at most with a wildcard at its beginning, got "${name}" (its part "${first}" is none)`;
  return dot === -1 ? undefined : labelsFault(name.slice(dot + 1), name);
}

/** `*foo.example.com` stands for nothing that proxies can match everywhere. */
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
  // A name may end with a dot, to be unambiguous.
  if (last === "" && labels.length > 1) labels.pop();
  const bad = labels.find((label) => !isDnsLabel(label));
  return bad === undefined ? undefined : `must be a DNS name, got "${whole}" (its part "${bad}" is none)`;
}

interface OpenWildcard {
  readonly key: string;
  readonly index: number;
  /** The first of this one and of those that it is within. */
  readonly firstAbove: number;
  /** The first of all names that are within this one, and of itself. */
  firstWithin: number;
}

/**
 * For each name, wildcards among them, the first one before it with which it has a host in common. Names are sorted by their ends,
 * where those that a wildcard covers stand behind it in a row: whoever writes an object of thousands of names must not hold up the
 * process that judges it.
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

/** Sorts names with the same end: wildcards first, then in their order. */
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

/** Whether every host of the name is one of one of the others, wildcards among them. */
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
