import { createRequire } from "node:module";
import { isIP, isIPv4, isIPv6 } from "node:net";
import type * as Re2 from "re2js";
import { moduleCache, isDnsLabel, goDurationMs } from "../../../base/index.ts";
import { checkSubdomain } from "../names.ts";
import { parseQuantity } from "../quantity.ts";

/** The maximum number of cached patterns. An API server needs only a few hundred. */
const maxPatterns = 4096;
const patterns = moduleCache<string, Re2.RE2JS | undefined>("patterns-of-schemas", maxPatterns);
let expressions: typeof Re2 | undefined;

/**
 * Compiles a regular expression. It has RE2's syntax and matches in linear time. Returns undefined if the expression is
 * invalid.
 */
export function compilePattern(pattern: string): Re2.RE2JS | undefined {
  if (patterns.has(pattern)) return patterns.get(pattern);
  let compiled: Re2.RE2JS | undefined;
  try {
    expressions ??= createRequire(import.meta.url)("re2js") as typeof Re2;
    compiled = expressions.RE2JS.compile(pattern);
  } catch {
    compiled = undefined;
  }
  patterns.set(pattern, compiled);
  return compiled;
}

/** The minimum length of a text for which an automaton saves time. */
const leastForAutomaton = 1024;

/**
 * Whether the pattern matches a part of the text. For a long text, RE2JS builds an automaton, which is twenty times
 * faster than the usual search. An automaton may grow to 8 MB, so it is dropped after each use.
 */
export function matchesPattern(pattern: Re2.RE2JS, text: string): boolean {
  if (text.length < leastForAutomaton) return pattern.matcher(text).find();
  const found = pattern.test(text);
  (pattern.re2Input as { lazyDFA: unknown }).lazyDFA = null;
  return found;
}

const dateTimePattern =
  /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/;
const datePattern = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/;
/** Matches durations that go-openapi's strfmt accepts in addition to Go's form, for example `3 days`. */
const wordDurationPattern =
  /^(\d+(\.\d*)?)\s*(ns|nano|µs|us|micro|ms|milli|s|sec|second|m|min|minute|h|hr|hour|d|day|w|week)s?$/;
const emailPattern = /^[^\s@"(),:;<>[\]\\]+@[^\s@]+$/;
const macPattern = /^([0-9a-fA-F]{2}[:-]){5}([0-9a-fA-F]{2}|[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){2})$/;
const uuidPattern = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;

/** Whether the text begins with a date that exists. Go refuses 30 February, but `Date.parse` reads it as 2 March. */
function beginsWithDay(text: string): boolean {
  const day = text.slice(0, 10);
  const atMs = Date.parse(`${day}T00:00:00Z`);
  return !Number.isNaN(atMs) && new Date(atMs).toISOString().startsWith(day);
}

export function isCidr(text: string): boolean {
  const [address = "", bits = "", ...rest] = text.split("/");
  if (rest.length > 0 || !/^\d{1,3}$/.test(bits)) return false;
  return isIPv4(address) ? Number(bits) <= 32 : isIPv6(address) && Number(bits) <= 128;
}

function isUri(text: string): boolean {
  if (!URL.canParse(text)) return text.startsWith("/") && !/\s/.test(text);
  return !/\s/.test(text);
}

const uuidOfVersion =
  (version: string) =>
  (text: string): boolean =>
    uuidPattern.test(text) && text.replaceAll("-", "")[12] === version;

/** The checks of formats, by the name in a CRD's schema. As in kube-apiserver, unknown names are ignored. */
export const formats: Readonly<Record<string, (text: string) => boolean>> = {
  "date-time": (text) => dateTimePattern.test(text) && beginsWithDay(text),
  datetime: (text) => dateTimePattern.test(text) && beginsWithDay(text),
  date: (text) => datePattern.test(text) && beginsWithDay(text),
  duration: (text) => goDurationMs(text) !== undefined || wordDurationPattern.test(text),
  uri: isUri,
  email: (text) => emailPattern.test(text),
  hostname: (text) =>
    text.length <= 255 &&
    text.split(".").every((label) => label.length <= 63 && /^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/.test(label)),
  ipv4: isIPv4,
  ipv6: isIPv6,
  ip: (text) => isIP(text) !== 0,
  cidr: isCidr,
  mac: (text) => macPattern.test(text),
  uuid: (text) => uuidPattern.test(text),
  uuid3: uuidOfVersion("3"),
  uuid4: uuidOfVersion("4"),
  uuid5: uuidOfVersion("5"),
  byte: (text) => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text),
  "k8s-short-name": isDnsLabel,
  "k8s-long-name": (text) => checkSubdomain(text).length === 0,
  quantity: (text) => parseQuantity(text) !== undefined,
};
