import type { Container, Pod } from "../api/kubernetes/index.ts";
import { isTree, type Tree, userError, withoutNulls } from "../base/index.ts";

/** The fields that identify elements of a pod's lists. Lists that are not named here are replaced as a whole. */
const mergeKeys: ReadonlyMap<string, readonly string[]> = new Map([
  ["containers", ["name"]],
  ["initContainers", ["name"]],
  ["volumes", ["name"]],
  ["env", ["name"]],
  // A strategic merge patch would identify ports only by number, and merge 443/TCP and 443/UDP into one port.
  ["ports", ["containerPort", "protocol"]],
  ["volumeMounts", ["mountPath"]],
  ["volumeDevices", ["devicePath"]],
  ["imagePullSecrets", ["name"]],
  ["ephemeralContainers", ["name"]],
  ["hostAliases", ["ip"]],
  ["resourceClaims", ["name"]],
  ["schedulingGates", ["name"]],
  ["topologySpreadConstraints", ["topologyKey"]],
  // A strategic merge patch would replace this list, and lose a gateway's own sysctls.
  ["sysctls", ["name"]],
]);

/**
 * The key of a strategic merge patch whose value says how to merge a map or element: `merge`, `replace` or `delete`.
 */
const directive = "$patch";
const retained = "$retainKeys";

/**
 * Applies `over` to `base` like a strategic merge patch: merges objects by field, and lists with merge keys by element.
 * The value null removes a field. Throws a user error for an unknown directive.
 */
export function mergeStrategically<Value>(base: Value, over: unknown): Value {
  return merge(base, over, "") as Value;
}

function merge(base: unknown, over: unknown, field: string): unknown {
  if (over === undefined) return base;
  if (isTree(over)) return mergeTrees(isTree(base) ? base : {}, over);
  if (!Array.isArray(over)) return over;
  const keys = mergeKeys.get(field);
  return keys === undefined ? withoutNulls(over) : mergeLists(Array.isArray(base) ? base : [], over, keys, field);
}

function mergeTrees(base: Tree, over: Tree): Tree | undefined {
  const directiveValue = over[directive];
  if (directiveValue === "delete") return undefined;
  if (directiveValue !== undefined && directiveValue !== "replace" && directiveValue !== "merge")
    throw userError(
      "template-failed",
      `has the directive ${directive}: ${JSON.stringify(directiveValue)}; expected merge, replace or delete`,
    );
  const merged = new Map(directiveValue === "replace" ? [] : Object.entries(base));
  for (const [key, value] of Object.entries(over)) {
    if (key === directive || key === retained) continue;
    if (key.startsWith("$")) throw userError("template-failed", `has the directive ${key}, which is not supported`);
    const result = value === null ? undefined : merge(merged.get(key), value, key);
    if (result === undefined) merged.delete(key);
    else merged.set(key, result);
  }
  const kept = over[retained];
  if (Array.isArray(kept)) {
    const names = new Set<unknown>(kept);
    for (const key of merged.keys()) if (!names.has(key)) merged.delete(key);
  }
  return Object.fromEntries(merged);
}

function mergeLists(
  base: readonly unknown[],
  over: readonly unknown[],
  keys: readonly string[],
  field: string,
): unknown[] {
  const replaces = over.some(
    (element) => isTree(element) && element[directive] === "replace" && keys.every((key) => element[key] === undefined),
  );
  const merged = new Map<string, unknown>();
  let unkeyed = 0;
  const put = (element: unknown): string => {
    const key = keyOf(element, keys) ?? `${(unkeyed += 1)}`;
    const own = merged.has(key) ? `${key} ${(unkeyed += 1)}` : key;
    merged.set(own, element);
    return own;
  };
  if (!replaces) for (const element of base) put(element);
  for (const element of over) {
    if (
      element === null ||
      (isTree(element) && element[directive] === "replace" && keys.every((key) => element[key] === undefined))
    )
      continue;
    const key = keyOf(element, keys) ?? put(undefined);
    // Replace a variable as a whole, because the API server refuses one with both a value and a source.
    const known = field === "env" ? undefined : merged.get(key);
    const result = merge(field === "volumes" ? underOtherSource(known, element) : known, element, "");
    if (result === undefined) merged.delete(key);
    else merged.set(key, result);
  }
  return [...merged.values()];
}

/**
 * Returns `volume` without its source if `over`, a volume of the same name, has a source of another type. Merging the
 * two would give the volume two sources, which the API server refuses.
 */
export function underOtherSource(volume: unknown, over: unknown): unknown {
  if (!isTree(volume) || !isTree(over)) return volume;
  const sources = Object.entries(over).filter(
    ([key, value]) => key !== "name" && !key.startsWith("$") && value !== null,
  );
  return sources.length === 0 || sources.some(([key]) => volume[key] !== undefined) ? volume : { name: volume["name"] };
}

/** Returns the values of the merge keys as one text, or undefined if the element has none of the keys. */
function keyOf(element: unknown, keys: readonly string[]): string | undefined {
  if (!isTree(element) || keys.every((key) => element[key] === undefined)) return undefined;
  return JSON.stringify(keys.map((key) => element[key] ?? defaultOf(key)));
}

function defaultOf(key: string): unknown {
  return key === "protocol" ? "TCP" : undefined;
}

export function findContainer(containers: readonly Container[] | undefined, name: string): Container | undefined {
  return containers?.find((container) => container.name === name);
}

export function findAnyContainer(pod: Pod, name: string): Container | undefined {
  return findContainer(pod.spec?.containers, name) ?? findContainer(pod.spec?.initContainers, name);
}

/** Returns the list with the named container moved to one end, or an unchanged copy if there is no such container. */
export function moveContainer(containers: readonly Container[], name: string, end: "first" | "last"): Container[] {
  const found = findContainer(containers, name);
  if (found === undefined) return [...containers];
  const others = containers.filter((container) => container !== found);
  return end === "first" ? [found, ...others] : [...others, found];
}
