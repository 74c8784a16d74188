import { stringOf, withArticle } from "../../../../base/index.ts";
import type { CelFunc, CelInput, CelList, CelMap, CelValue } from "@bufbuild/cel";
import type { CelLibrary } from "../../../../base/cel/index.ts";
import { compareQuantities, parseQuantity, type Quantity } from "../../quantity.ts";
import { compilePattern, formats } from "../formats.ts";
import {
  checkLabelName,
  checkLabelValue,
  checkQualifiedName,
  checkServiceName,
  checkSubdomain,
  type NameCheck,
} from "../../names.ts";
import {
  contains,
  formatAddress,
  isAddress,
  isCanonicalAddress,
  isGlobalUnicast,
  isLinkLocalMulticast,
  isLinkLocalUnicast,
  isLoopback,
  isUnspecified,
  masked,
  parseAddress,
  parseNetwork,
  type Network,
} from "./network.ts";

/**
 * The key that marks a map as a value of one of Kubernetes' own types. The evaluator supports no additional types, so
 * maps represent them.
 */
const typeKey = "kubernetes.io/type";

/**
 * The functions that Kubernetes adds to CEL (kubernetes.io/docs/reference/using-api/cel): lists, regular expressions,
 * URLs, addresses, networks, quantities, formats, sets, semantic versions.
 */
export function kubernetesFunctions(cel: CelLibrary): CelFunc[] {
  return [
    ...listFunctions(cel),
    ...setFunctions(cel),
    ...regexFunctions(cel),
    ...textFunctions(cel),
    ...urlFunctions(cel),
    ...addressFunctions(cel),
    ...comparisonFunctions(cel),
    ...quantityFunctions(cel),
    ...formatFunctions(cel),
    ...versionFunctions(cel),
  ];
}

export function tagged(type: string, fields: Readonly<Record<string, CelInput>>): ReadonlyMap<string, CelInput> {
  return new Map<string, CelInput>([[typeKey, type], ...Object.entries(fields)]);
}

/**
 * An optional value, for the functions `hasValue`, `value` and `orValue`. Without an argument, it is `optional.none()`.
 */
export function optionalValue(value?: CelInput): ReadonlyMap<string, CelInput> {
  return tagged("optional", { held: value === undefined ? [] : [value] });
}

function heldBy(optional: CelMap): readonly CelValue[] {
  const held = fieldOf(optional, "optional", "held");
  return typeof held === "object" && held !== null && Symbol.iterator in held ? [...(held as CelList)] : [];
}

function fieldOf(value: CelMap, type: string, field: string): CelValue {
  const held = value.get(typeKey) === type ? value.get(field) : undefined;
  if (held === undefined) throw new Error(`no such overload: the value is not ${withArticle(type)}`);
  return held;
}

export function textField(value: CelMap, type: string, field: string): string {
  return stringOf(fieldOf(value, type, field));
}

function compareScalars(a: CelValue, b: CelValue): number {
  if (
    (typeof a !== "bigint" && typeof a !== "number" && typeof a !== "string" && typeof a !== "boolean") ||
    typeof a !== typeof b
  )
    throw new Error("no such overload: the items cannot be compared");
  return a < (b as typeof a) ? -1 : a === b ? 0 : 1;
}

function same(a: CelValue, b: CelValue): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null)
    return (
      typeof a !== "object" &&
      typeof b !== "object" &&
      Number(a) === Number(b) &&
      typeof a !== "string" &&
      typeof b !== "string"
    );
  if ("size" in a && "get" in a && "size" in b && "get" in b && a.size === b.size) {
    if ("keys" in a && "keys" in b) return [...a.keys()].every((key) => pairEqual(a.get(key), b.get(key)));
    return Array.from({ length: a.size }, (_, index) => index).every((index) =>
      pairEqual((a as CelList).get(index), (b as CelList).get(index)),
    );
  }
  return false;
}

function pairEqual(a: CelValue | undefined, b: CelValue | undefined): boolean {
  return a !== undefined && b !== undefined && same(a, b);
}

function listFunctions({ celMethod, listType, CelScalar }: CelLibrary): CelFunc[] {
  const { DYN, INT, BOOL } = CelScalar;
  const list = listType(DYN);
  const extreme = (items: CelList, sign: number): CelValue => {
    const all = [...items];
    const [first] = all;
    if (first === undefined) throw new Error(`${sign < 0 ? "min" : "max"} called on empty list`);
    return all.reduce((best, item) => (compareScalars(item, best) * sign > 0 ? item : best), first);
  };
  return [
    celMethod("isSorted", list, [], BOOL, function () {
      const items = [...this];
      return items.every((item, index) => index === 0 || compareScalars(items[index - 1] ?? item, item) <= 0);
    }),
    celMethod("sum", list, [], DYN, function () {
      const items = [...this];
      if (items.every((item) => typeof item === "number") && items.length > 0)
        return items.reduce((sum, item) => sum + item, 0);
      return items.reduce<bigint>((sum, item) => {
        if (typeof item !== "bigint") throw new Error("no such overload: sum of values that are not numbers");
        return sum + item;
      }, 0n);
    }),
    celMethod("min", list, [], DYN, function () {
      return extreme(this, -1);
    }),
    celMethod("max", list, [], DYN, function () {
      return extreme(this, 1);
    }),
    celMethod("indexOf", list, [DYN], INT, function (wanted) {
      return BigInt([...this].findIndex((item) => same(item, wanted)));
    }),
    celMethod("lastIndexOf", list, [DYN], INT, function (wanted) {
      return BigInt([...this].findLastIndex((item) => same(item, wanted)));
    }),
  ];
}

function setFunctions({ celFunc, listType, CelScalar }: CelLibrary): CelFunc[] {
  const { DYN, BOOL } = CelScalar;
  const list = listType(DYN);
  const includes = (items: CelList, wanted: CelValue): boolean => [...items].some((item) => same(item, wanted));
  const holdsAll = (outer: CelList, inner: CelList): boolean => [...inner].every((item) => includes(outer, item));
  return [
    celFunc("sets.contains", [list, list], BOOL, holdsAll),
    celFunc("sets.equivalent", [list, list], BOOL, (a, b) => holdsAll(a, b) && holdsAll(b, a)),
    celFunc("sets.intersects", [list, list], BOOL, (a, b) => [...a].some((item) => includes(b, item))),
  ];
}

function regexFunctions({ celMethod, listType, CelScalar }: CelLibrary): CelFunc[] {
  const { STRING, INT } = CelScalar;
  const findAll = (text: string, pattern: string, limit: bigint): string[] => {
    const compiled = compilePattern(pattern);
    if (compiled === undefined) throw new Error(`"${pattern}" is not a regular expression`);
    const matcher = compiled.matcher(text);
    const found: string[] = [];
    const wanted = limit < 0n ? Number.POSITIVE_INFINITY : Number(limit);
    for (let count = 0; count < wanted && matcher.find(); count++) found.push(matcher.group() ?? "");
    return found;
  };
  return [
    celMethod("find", STRING, [STRING], STRING, function (pattern) {
      return findAll(this, pattern, 1n)[0] ?? "";
    }),
    celMethod("findAll", STRING, [STRING], listType(STRING), function (pattern) {
      return findAll(this, pattern, -1n);
    }),
    celMethod("findAll", STRING, [STRING, INT], listType(STRING), function (pattern, limit) {
      return findAll(this, pattern, limit);
    }),
  ];
}

/**
 * Functions on texts. `replace` works like Go's strings.Replace, because the evaluator's own function takes quadratic
 * time for many replacements.
 */
function textFunctions({ celMethod, CelScalar }: CelLibrary): CelFunc[] {
  const { STRING, INT } = CelScalar;
  const replace = (text: string, wanted: string, by: string, limit: number): string => {
    if (limit < 0)
      return wanted === ""
        ? `${by}${Array.from(text, (character) => character + by).join("")}`
        : text.replaceAll(wanted, () => by);
    const parts = wanted === "" ? ["", ...Array.from(text)] : text.split(wanted);
    const replaced = Math.min(limit, wanted === "" ? parts.length : parts.length - 1);
    const separator = (index: number): string => (index < replaced ? by : wanted);
    return parts
      .map((part, index) => (index === parts.length - 1 && wanted !== "" ? part : part + separator(index)))
      .join("");
  };
  return [
    celMethod("replace", STRING, [STRING, STRING], STRING, function (wanted, by) {
      return replace(this, wanted, by, -1);
    }),
    celMethod("replace", STRING, [STRING, STRING, INT], STRING, function (wanted, by, limit) {
      return replace(this, wanted, by, Number(limit));
    }),
  ];
}

/** Parses a URL as Go's url.ParseRequestURI does: an absolute URL, or an absolute path. */
function parseUrl(text: string): URL | undefined {
  if (/[\s\p{Cc}]/u.test(text)) return undefined;
  if (text.startsWith("/"))
    return URL.canParse(`relative:${text}`) ? new URL(`http://relative.invalid${text}`) : undefined;
  return /^[A-Za-z][A-Za-z0-9+.-]*:/.test(text) && URL.canParse(text) ? new URL(text) : undefined;
}

function urlFunctions({ celFunc, celMethod, mapType, listType, CelScalar }: CelLibrary): CelFunc[] {
  const { STRING, BOOL, DYN } = CelScalar;
  const map = mapType(DYN, DYN);
  const read = (value: CelMap): { url: URL; relative: boolean; text: string } => {
    const text = textField(value, "url", "text");
    const url = parseUrl(text);
    if (url === undefined) throw new Error(`"${text}" is not a URL`);
    return { url, relative: text.startsWith("/"), text };
  };
  /** Takes the host and port from the text, because the platform's URL class drops a scheme's default port. */
  const authority = (text: string): string => /^[^:/]+:\/\/(?:[^/?#]*@)?([^/?#]*)/.exec(text)?.[1] ?? "";
  const portOf = (text: string): string => /:(\d+)$/.exec(authority(text))?.[1] ?? "";
  const part = (name: string, take: (url: URL, text: string) => string): CelFunc =>
    celMethod(name, map, [], STRING, function () {
      const { url, relative, text } = read(this);
      return relative && name !== "getEscapedPath" ? "" : take(url, text);
    });
  return [
    celFunc("isURL", [STRING], BOOL, (text) => parseUrl(text) !== undefined),
    celFunc("url", [STRING], map, (text) => {
      if (parseUrl(text) === undefined) throw new Error(`URL parse error during conversion from string: "${text}"`);
      return tagged("url", { text });
    }),
    part("getScheme", (url) => url.protocol.slice(0, -1)),
    part("getHost", (_, text) => authority(text)),
    part("getHostname", (_, text) =>
      authority(text)
        .replace(/:\d+$/, "")
        .replace(/^\[|\]$/g, ""),
    ),
    part("getPort", (_, text) => portOf(text)),
    part("getEscapedPath", (url, text) => (/^[^:/]+:\/\/[^/?#]*($|[?#])/.test(text) ? "" : url.pathname)),
    celMethod("getQuery", map, [], mapType(STRING, listType(STRING)), function () {
      const { url } = read(this);
      return new Map([...new Set(url.searchParams.keys())].map((key) => [key, url.searchParams.getAll(key)]));
    }),
  ];
}

function addressFunctions({ celFunc, celMethod, mapType, CelScalar }: CelLibrary): CelFunc[] {
  const { STRING, BOOL, INT, DYN } = CelScalar;
  const map = mapType(DYN, DYN);
  const address = (text: string): Network => {
    const parsed = parseAddress(text);
    if (parsed === undefined) throw new Error(`IP Address '${text}' parse error during conversion from string`);
    return parsed;
  };
  const network = (text: string): Network => {
    const parsed = parseNetwork(text);
    if (parsed === undefined) throw new Error(`network address parse error during conversion from string: ${text}`);
    return parsed;
  };
  const toMap = (type: "ip" | "cidr", value: Network): ReadonlyMap<string, CelInput> =>
    tagged(type, { text: type === "ip" ? formatAddress(value) : `${formatAddress(value)}/${value.prefix}` });
  const ofAddress = (value: CelMap): Network => address(textField(value, "ip", "text"));
  const ofNetwork = (value: CelMap): Network => network(textField(value, "cidr", "text"));
  const test = (name: string, holds: (value: Network) => boolean): CelFunc =>
    celMethod(name, map, [], BOOL, function () {
      return holds(ofAddress(this));
    });
  return [
    celFunc("isIP", [STRING], BOOL, isAddress),
    celFunc("ip", [STRING], map, (text) => toMap("ip", address(text))),
    celFunc(
      "ip.isCanonical",
      [STRING],
      BOOL,
      (text) => formatAddress(address(text)) === text && isCanonicalAddress(text),
    ),
    celFunc("isCIDR", [STRING], BOOL, (text) => parseNetwork(text) !== undefined),
    celFunc("cidr", [STRING], map, (text) => toMap("cidr", network(text))),
    celMethod("family", map, [], INT, function () {
      return BigInt(ofAddress(this).family);
    }),
    test("isUnspecified", isUnspecified),
    test("isLoopback", isLoopback),
    test("isLinkLocalMulticast", isLinkLocalMulticast),
    test("isLinkLocalUnicast", isLinkLocalUnicast),
    test("isGlobalUnicast", isGlobalUnicast),
    celMethod("ip", map, [], map, function () {
      return toMap("ip", ofNetwork(this));
    }),
    celMethod("masked", map, [], map, function () {
      return toMap("cidr", masked(ofNetwork(this)));
    }),
    celMethod("prefixLength", map, [], INT, function () {
      return BigInt(ofNetwork(this).prefix);
    }),
    celMethod("containsIP", map, [STRING], BOOL, function (text) {
      return contains(ofNetwork(this), address(text));
    }),
    celMethod("containsIP", map, [map], BOOL, function (value) {
      return contains(ofNetwork(this), ofAddress(value));
    }),
    celMethod("containsCIDR", map, [STRING], BOOL, function (text) {
      return contains(ofNetwork(this), network(text));
    }),
    celMethod("containsCIDR", map, [map], BOOL, function (value) {
      return contains(ofNetwork(this), ofNetwork(value));
    }),
    celFunc("string", [map], STRING, (value) => stringOf(value.get("text"))),
  ];
}

const nano = 1_000_000_000n;

function quantityOf(value: CelMap): Quantity {
  return {
    nanos: BigInt(textField(value, "quantity", "nanos")),
    format: textField(value, "quantity", "format") as Quantity["format"],
  };
}

/**
 * The methods that quantities and versions both have. They share one function, because the evaluator cannot distinguish
 * overloads for two kinds of maps.
 */
function comparisonFunctions({ celMethod, mapType, CelScalar }: CelLibrary): CelFunc[] {
  const { BOOL, INT, DYN } = CelScalar;
  const map = mapType(DYN, DYN);
  const compare = (a: CelMap, b: CelMap): number =>
    a.get(typeKey) === "semver"
      ? compareSemver(versionParts(a), versionParts(b))
      : compareQuantities(quantityOf(a), quantityOf(b));
  return [
    celMethod("isGreaterThan", map, [map], BOOL, function (other) {
      return compare(this, other) > 0;
    }),
    celMethod("isLessThan", map, [map], BOOL, function (other) {
      return compare(this, other) < 0;
    }),
    celMethod("compareTo", map, [map], INT, function (other) {
      return BigInt(compare(this, other));
    }),
  ];
}

function quantityFunctions({ celFunc, celMethod, mapType, CelScalar }: CelLibrary): CelFunc[] {
  const { STRING, BOOL, INT, DOUBLE, DYN } = CelScalar;
  const map = mapType(DYN, DYN);
  const toMap = (value: Quantity): ReadonlyMap<string, CelInput> =>
    tagged("quantity", { nanos: String(value.nanos), format: value.format });
  const quantity = quantityOf;
  const parse = (text: string): Quantity => {
    const parsed = parseQuantity(text);
    if (parsed === undefined) throw new Error(`quantities must match the regular expression: "${text}"`);
    return parsed;
  };
  const whole = (value: Quantity): bigint => {
    if (value.nanos % nano !== 0n) throw new Error("cannot convert value to integer");
    return value.nanos / nano;
  };
  const arithmetic = (name: string, sign: bigint): CelFunc[] => [
    celMethod(name, map, [map], map, function (other) {
      return toMap({ ...quantity(this), nanos: quantity(this).nanos + sign * quantity(other).nanos });
    }),
    celMethod(name, map, [INT], map, function (other) {
      return toMap({ ...quantity(this), nanos: quantity(this).nanos + sign * other * nano });
    }),
  ];
  return [
    celFunc("isQuantity", [STRING], BOOL, (text) => parseQuantity(text) !== undefined),
    celFunc("quantity", [STRING], map, (text) => toMap(parse(text))),
    celMethod("sign", map, [], INT, function () {
      return BigInt(compareQuantities(quantity(this), { nanos: 0n, format: "decimal" }));
    }),
    celMethod("isInteger", map, [], BOOL, function () {
      return quantity(this).nanos % nano === 0n;
    }),
    celMethod("asInteger", map, [], INT, function () {
      return whole(quantity(this));
    }),
    celMethod("asApproximateFloat", map, [], DOUBLE, function () {
      return Number(quantity(this).nanos) / 1e9;
    }),
    ...arithmetic("add", 1n),
    ...arithmetic("sub", -1n),
  ];
}

const namedFormats: Readonly<Record<string, NameCheck>> = {
  dns1123Label: checkLabelName,
  dns1123Subdomain: checkSubdomain,
  dns1035Label: checkServiceName,
  qualifiedName: checkQualifiedName,
  dns1123LabelPrefix: (name) => checkLabelName(name.replace(/-$/, "")),
  dns1123SubdomainPrefix: (name) => checkSubdomain(name.replace(/-$/, "")),
  dns1035LabelPrefix: (name) => checkServiceName(name.replace(/-$/, "")),
  labelValue: checkLabelValue,
};
const namedFormatAliases: Readonly<Record<string, string>> = {
  uri: "uri",
  uuid: "uuid",
  byte: "byte",
  date: "date",
  datetime: "datetime",
};

function formatFunctions({ celFunc, celMethod, mapType, CelScalar }: CelLibrary): CelFunc[] {
  const { STRING, DYN } = CelScalar;
  const map = mapType(DYN, DYN);
  const names = [...Object.keys(namedFormats), ...Object.keys(namedFormatAliases)];
  const problems = (name: string, text: string): string[] => {
    const check = namedFormats[name];
    if (check !== undefined) return check(text);
    return formats[name]?.(text) === true ? [] : [`does not match format "${name}"`];
  };
  return [
    ...names.map((name) => celFunc(`format.${name}`, [], map, () => tagged("format", { name }))),
    celFunc("format.named", [STRING], DYN, (name) => {
      if (!names.includes(name)) throw new Error(`there is no format "${name}"`);
      return tagged("format", { name });
    }),
    celMethod("validate", map, [STRING], map, function (text) {
      const found = problems(textField(this, "format", "name"), text);
      return found.length === 0 ? optionalValue() : optionalValue(found);
    }),
    celMethod("hasValue", map, [], CelScalar.BOOL, function () {
      return heldBy(this).length > 0;
    }),
    celMethod("value", map, [], DYN, function () {
      const [held] = heldBy(this);
      if (held === undefined) throw new Error("optional.none() dereference");
      return held;
    }),
    celMethod("orValue", map, [DYN], DYN, function (fallback) {
      return heldBy(this)[0] ?? fallback;
    }),
  ];
}

const semverPattern =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?$/;

function versionParts(value: CelMap): RegExpExecArray {
  const match = semverPattern.exec(textField(value, "semver", "text"));
  if (match === null) throw new Error("not a semantic version");
  return match;
}

function versionFunctions({ celFunc, celMethod, mapType, CelScalar }: CelLibrary): CelFunc[] {
  const { STRING, BOOL, INT, DYN } = CelScalar;
  const map = mapType(DYN, DYN);
  const number = (value: CelMap, index: number): bigint => BigInt(versionParts(value)[index] ?? 0);
  return [
    celFunc("isSemver", [STRING], BOOL, (text) => semverPattern.test(text)),
    celFunc("semver", [STRING], map, (text) => {
      if (!semverPattern.test(text)) throw new Error(`"${text}" is not a semantic version`);
      return tagged("semver", { text });
    }),
    ...["major", "minor", "patch"].map((name, index) =>
      celMethod(name, map, [], INT, function () {
        return number(this, index + 1);
      }),
    ),
  ];
}

function compareSemver(a: RegExpExecArray, b: RegExpExecArray): number {
  for (const index of [1, 2, 3]) {
    const difference = Number(a[index]) - Number(b[index]);
    if (difference !== 0) return Math.sign(difference);
  }
  const [left, right] = [a[4], b[4]];
  if (left === undefined || right === undefined) return left === right ? 0 : left === undefined ? 1 : -1;
  return left === right ? 0 : left < right ? -1 : 1;
}
