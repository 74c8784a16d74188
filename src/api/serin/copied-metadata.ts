import type { Reader } from "../reader.ts";

/**
 * Keys with a prefix that a Canary may give to its pods: what people and metrics read. Everything else with a prefix is read by some
 * controller that acts on it with rights of its own (an injector mounts what `sidecar.istio.io/userVolume` names), so that who may
 * write Canaries alone would act with those rights; it belongs into the Deployment's own template.
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

/** Templates of injectors take these values over into YAML, out of which no value may break. */
const plainValue = /^[\w.:,+-]*$/;

/** Whether labels and annotations of this key may be copied to pods that the rollout engine makes. */
export function mayBeCopied(key: string): boolean {
  const slash = key.indexOf("/");
  return slash === -1 || allowedPrefixes.includes(key.slice(0, slash)) || allowedKeys.includes(key);
}

/** Reads a map of labels or annotations for pods of a rollout, and reports keys that may not be copied. */
export function parseCopiedMetadata(reader: Reader, field: "labels" | "annotations"): Readonly<Record<string, string>> {
  const map = reader.stringMap(field);
  for (const [key, value] of Object.entries(map)) {
    if (allowedKeys.includes(key) && !plainValue.test(value))
      reader.error(`must have letters, digits and "._:,+-" alone, got ${JSON.stringify(value)}`, `${field}.${key}`);
    if (!mayBeCopied(key))
      reader.error(
        `must not have the key ${key}: allowed are keys without a prefix, those of ${allowedPrefixes.join(", ")}, and ${allowedKeys.join(", ")}; write it into the template of the Deployment`,
        field,
      );
  }
  return map;
}
