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

/** Whether two names, wildcards among them, have a host in common. */
export function hostsOverlap(left: string, right: string): boolean {
  if (!left.startsWith("*") && !right.startsWith("*")) return left === right;
  if (!left.startsWith("*")) return left.endsWith(right.slice(1));
  if (!right.startsWith("*")) return right.endsWith(left.slice(1));
  return left.endsWith(right.slice(1)) || right.endsWith(left.slice(1));
}

/** Whether every host of the first name is one of the second. */
export function isHostWithin(name: string, wider: string): boolean {
  if (!wider.startsWith("*")) return name === wider;
  return name.length >= wider.length && name.replace(/^\*/, "").endsWith(wider.slice(1));
}
