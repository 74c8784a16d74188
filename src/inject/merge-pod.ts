import type { Container, Pod } from "../api/kubernetes/index.ts";
import { isTree } from "./tree.ts";

/** By which field the elements of a pod's lists are told apart; lists that are not here are replaced as a whole. */
const mergeKeys: Readonly<Record<string, readonly string[]>> = {
  containers: ["name"],
  initContainers: ["name"],
  volumes: ["name"],
  env: ["name"],
  ports: ["containerPort", "protocol"],
  volumeMounts: ["mountPath"],
  volumeDevices: ["devicePath"],
  imagePullSecrets: ["name"],
  ephemeralContainers: ["name"],
  hostAliases: ["ip"],
  resourceClaims: ["name"],
  schedulingGates: ["name"],
  topologySpreadConstraints: ["topologyKey"],
  sysctls: ["name"],
};

/** Lays `over` on `base` as a strategic merge patch would: objects field by field, keyed lists element by element. */
export function mergeStrategically<Value>(base: Value, over: unknown): Value {
  return merge(base, over, "") as Value;
}

function merge(base: unknown, over: unknown, field: string): unknown {
  if (over === undefined) return base;
  if (isTree(base) && isTree(over)) {
    const merged: Record<string, unknown> = { ...base };
    for (const [key, value] of Object.entries(over)) merged[key] = merge(base[key], value, key);
    return merged;
  }
  const keys = mergeKeys[field];
  if (keys !== undefined && Array.isArray(base) && Array.isArray(over)) return mergeLists(base, over, keys, field);
  return over;
}

function mergeLists(base: readonly unknown[], over: readonly unknown[], keys: readonly string[], field: string): unknown[] {
  const merged = [...base];
  for (const element of over) {
    const at = merged.findIndex((candidate) => isSame(candidate, element, keys));
    if (at < 0) merged.push(element);
    // A variable has either a value or a source; both would be refused.
    else merged[at] = field === "env" ? element : merge(merged[at], element, "");
  }
  return merged;
}

function isSame(a: unknown, b: unknown, keys: readonly string[]): boolean {
  if (!isTree(a) || !isTree(b)) return false;
  return keys.every((key) => (a[key] ?? defaultOf(key)) === (b[key] ?? defaultOf(key)));
}

function defaultOf(key: string): unknown {
  return key === "protocol" ? "TCP" : undefined;
}

export function findContainer(containers: readonly Container[] | undefined, name: string): Container | undefined {
  return containers?.find((container) => container.name === name);
}

/** The container of that name wherever it stands. */
export function findAnyContainer(pod: Pod, name: string): Container | undefined {
  return findContainer(pod.spec?.containers, name) ?? findContainer(pod.spec?.initContainers, name);
}

/** The list with the named one moved to an end; as it is without it. */
export function moveContainer(containers: readonly Container[], name: string, end: "first" | "last"): Container[] {
  const found = findContainer(containers, name);
  if (found === undefined) return [...containers];
  const others = containers.filter((container) => container !== found);
  return end === "first" ? [found, ...others] : [...others, found];
}
