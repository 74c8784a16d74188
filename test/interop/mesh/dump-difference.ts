// The differences between two control planes' answers, by resource and field.
import type { Dump, Json } from "./discovery-dump.ts";

export interface Difference {
  /** For example `sidecar clusters outbound|80||web.mesh.svc.cluster.local`. */
  readonly resource: string;
  /**
   * The path in the resource. An item of a list appears in it by its name if it has one. Empty for the resource itself.
   */
  readonly path: string;
  /** The path without names, by which differences are grouped. */
  readonly field: string;
  readonly serin: string;
  readonly istiod: string;
}

const absent = "(absent)";
const shownLength = 220;

export function differences(role: string, serin: Dump, istiod: Dump): Difference[] {
  return Object.keys(istiod).flatMap((type) => {
    const [ours, theirs] = [serin[type] ?? new Map<string, Json>(), istiod[type] ?? new Map<string, Json>()];
    return [...new Set([...ours.keys(), ...theirs.keys()])].toSorted().flatMap((name) => {
      const [left, right] = [ours.get(name), theirs.get(name)];
      const resource = `${role} ${type} ${name}`;
      if (left === undefined || right === undefined)
        return [
          {
            resource,
            path: "",
            field: `${role} ${type}`,
            serin: left === undefined ? absent : "(there)",
            istiod: right === undefined ? absent : "(there)",
          },
        ];
      return compared(left, right).map(({ path, field, left: our, right: their }) => ({
        resource,
        path,
        field: `${role} ${type} ${field}`,
        serin: our,
        istiod: their,
      }));
    });
  });
}

/** Earlier results, because one dump is nearly equal to the last. */
const known = new WeakMap<object, WeakMap<object, Unequal[]>>();

function compared(left: Json, right: Json): Unequal[] {
  if (!isObject(left) || !isObject(right)) return unequal(left, right);
  let found = known.get(left)?.get(right);
  if (found === undefined) {
    found = unequal(normal(left), normal(right));
    const others = known.get(left) ?? new WeakMap<object, Unequal[]>();
    known.set(left, others.set(right, found));
  }
  return found;
}

interface Unequal {
  readonly path: string;
  readonly field: string;
  readonly left: string;
  readonly right: string;
}

function unequal(left: Json | undefined, right: Json | undefined, path = "", field = ""): Unequal[] {
  if (isObject(left) && isObject(right)) {
    const typed = typeof left["@type"] === "string" ? shortType(left["@type"]) : "";
    const [ownPath, ownField] = typed === "" ? [path, field] : [`${path}<${typed}>`, `${field}<${typed}>`];
    return [...new Set([...Object.keys(left), ...Object.keys(right)])]
      .toSorted()
      .flatMap((key) => unequal(left[key], right[key], join(ownPath, key), join(ownField, genericKey(field, key))));
  }
  if (Array.isArray(left) && Array.isArray(right)) return unequalLists(left, right, path, field);
  const [shownLeft, shownRight] = [shown(left), shown(right)];
  return JSON.stringify(left) === JSON.stringify(right) ? [] : [{ path, field, left: shownLeft, right: shownRight }];
}

/** Compares two lists. Pairs items by name if all have one, and by position otherwise. */
function unequalLists(left: Json[], right: Json[], path: string, field: string): Unequal[] {
  const names = [left, right].map((items) => items.map(nameOf));
  const [leftNames = [], rightNames = []] = names;
  const named =
    [...leftNames, ...rightNames].every((name) => name !== undefined) &&
    new Set(leftNames).size === left.length &&
    new Set(rightNames).size === right.length;
  if (!named) {
    const inOrder = Array.from({ length: Math.max(left.length, right.length) }).flatMap((_, index) =>
      unequal(left[index], right[index], `${path}[${index}]`, `${field}[]`),
    );
    return inOrder;
  }
  const found = [...new Set([...leftNames, ...rightNames])].flatMap((name) =>
    unequal(
      left[leftNames.indexOf(name)],
      right[rightNames.indexOf(name)],
      `${path}[${name ?? ""}]`,
      `${field}[${filterName(name ?? "")}]`,
    ),
  );
  const common = leftNames.filter((name) => rightNames.includes(name));
  const order = JSON.stringify(common) === JSON.stringify(rightNames.filter((name) => leftNames.includes(name)));
  return order
    ? found
    : [
        ...found,
        {
          path: `${path} order`,
          field: `${field} order`,
          left: common.join(" "),
          right: rightNames.filter((name) => leftNames.includes(name)).join(" "),
        },
      ];
}

/** The name of a filter matters. Those of routes, chains and hosts do not. */
function filterName(name: string): string {
  return /^(envoy|istio)\.|^(connect_|waypoint_|set_dst|kubernetes)/.test(name) ? name : "";
}

function genericKey(field: string, key: string): string {
  return /(labels|filterMetadata|typedPerFilterConfig|fields|services)$/.test(field) && !/^(istio|envoy)/.test(key)
    ? "*"
    : key;
}

function nameOf(item: Json): string | undefined {
  if (typeof item === "string") return item;
  if (!isObject(item)) return undefined;
  const { name, key, header } = item;
  if (typeof name === "string" && name !== "") return name;
  if (typeof key === "string") return key;
  if (isObject(header) && typeof header["key"] === "string") return header["key"];
  // A chain is identified by its match, and a group of endpoints by its locality. Their order means nothing.
  if (Array.isArray(item["filters"]) && item["filterChainMatch"] !== null)
    return `chain ${JSON.stringify(item["filterChainMatch"] ?? {})}`;
  if (Array.isArray(item["lbEndpoints"]))
    return `locality ${JSON.stringify(item["locality"] ?? {})} ${JSON.stringify(item["priority"] ?? 0)}`;
  const { endpoint } = item;
  return isObject(endpoint) ? JSON.stringify(endpoint["address"]) : undefined;
}

function join(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}

function shortType(url: string): string {
  return url.slice(url.lastIndexOf(".") + 1);
}

function shown(value: Json | undefined): string {
  if (value === undefined) return absent;
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > shownLength ? `${text.slice(0, shownLength)}…` : text;
}

function isObject(value: Json | undefined): value is { [name: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Sorts lists whose order means nothing, and replaces values that differ between runs. */
function normal(value: Json, key = ""): Json {
  if (Array.isArray(value)) {
    const items = value.map((item) => normal(item));
    return unordered.has(key)
      ? items.toSorted((left, right) => (JSON.stringify(left) < JSON.stringify(right) ? -1 : 1))
      : items;
  }
  if (isObject(value))
    return Object.fromEntries(Object.entries(sameMeaning(value)).map(([name, inner]) => [name, normal(inner, name)]));
  return value;
}

const transportSockets = "envoy.transport_sockets.";

/** Replaces one spelling with another that means the same. docs/interop.md lists them. */
function sameMeaning(value: { readonly [name: string]: Json }): { readonly [name: string]: Json } {
  const { matchSubjectAltNames, ...rest } = value;
  // Istio writes the older field, which matches names of any type. The mesh's certificates have only URIs, so this
  // means the same as a match of URIs.
  if (Array.isArray(matchSubjectAltNames) && matchSubjectAltNames.every(isOfMesh))
    return { ...rest, matchTypedSubjectAltNames: matchSubjectAltNames.map((matcher) => ({ sanType: "URI", matcher })) };
  const { name, numerator, denominator = "HUNDRED" } = value;
  if (typeof numerator === "number" && typeof denominator === "string")
    return { millionths: numerator * (millionths[denominator] ?? 1) };
  // The name of a transport socket means nothing, because its configuration has the type.
  return typeof name === "string" && name.startsWith(transportSockets)
    ? { ...value, name: name.slice(transportSockets.length) }
    : value;
}

const millionths: Readonly<Record<string, number>> = { HUNDRED: 10_000, TEN_THOUSAND: 100, MILLION: 1 };

function isOfMesh(matcher: Json): boolean {
  return (
    isObject(matcher) &&
    Object.values(matcher).every((text) => typeof text === "string" && text.startsWith("spiffe://"))
  );
}

const unordered = new Set([
  "domains",
  "lbEndpoints",
  "endpoints",
  "matchTypedSubjectAltNames",
  "subjectAltNames",
  "authorizationPolicies",
  "addresses",
  "serverNames",
  "prefixRanges",
  "virtualHosts",
]);
