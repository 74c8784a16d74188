import { checkLabels } from "../istio/checks.ts";
import type { Reader } from "../reader.ts";

/**
 * The prefixes of keys that a Canary may add to its pods. Only people and metrics use such keys. Controllers act on
 * other keys with rights of their own: an injector mounts what `sidecar.istio.io/userVolume` names, for example. A user
 * who may only write Canaries must not gain those rights, so other keys are allowed only in the Deployment's template.
 */
const allowedPrefixes = ["app.kubernetes.io", "helm.sh", "prometheus.io"];
const allowedKeys = [
  "kubectl.kubernetes.io/default-container",
  "kubectl.kubernetes.io/default-logs-container",
  "kubectl.kubernetes.io/restartedAt",
  "sidecar.istio.io/componentLogLevel",
  "sidecar.istio.io/logLevel",
  "sidecar.istio.io/proxyCPU",
  "sidecar.istio.io/proxyCPULimit",
  "sidecar.istio.io/proxyMemory",
  "sidecar.istio.io/proxyMemoryLimit",
];

/**
 * Injection templates copy the values of `allowedKeys` into YAML, so a value must not be able to change the YAML's
 * structure.
 */
const plainValue = /^[\w.:,+-]*$/;

function mayBeCopied(key: string): boolean {
  const slash = key.indexOf("/");
  return slash === -1 || allowedPrefixes.includes(key.slice(0, slash)) || allowedKeys.includes(key);
}

/** Reads a map of labels or annotations for a rollout's pods, and reports keys that are not allowed. */
export function parseCopiedMetadata(reader: Reader, field: "labels" | "annotations"): Readonly<Record<string, string>> {
  const map = reader.stringMap(field);
  for (const [key, value] of Object.entries(map)) {
    if (allowedKeys.includes(key) && !plainValue.test(value))
      reader.error(`must have only letters, digits and "._:,+-", got ${JSON.stringify(value)}`, `${field}.${key}`);
    if (!mayBeCopied(key))
      reader.error(
        `must not have the key ${key}: allowed are keys without a prefix, those of ${allowedPrefixes.join(", ")}, and ${allowedKeys.join(", ")}; set it in the Deployment's template`,
        field,
      );
  }
  if (field === "labels")
    checkLabels(reader, field, Object.fromEntries(Object.entries(map).filter(([key]) => mayBeCopied(key))));
  return map;
}
