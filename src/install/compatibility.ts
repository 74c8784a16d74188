import type { Tree } from "../base/index.ts";

/**
 * For each version of Istio that changed a behaviour, the pilot's variables that restore the earlier behaviour. The
 * installer reports variables without effect.
 */
const changes: readonly (readonly [version: string, variables: Readonly<Record<string, string>>])[] = [
  ["1.27", { ENABLE_NATIVE_SIDECARS: "false" }],
  ["1.28", { DISABLE_SHADOW_HOST_SUFFIX: "false" }],
  ["1.29", { DISABLE_TRACK_REMAINING_CB_METRICS: "false" }],
  ["1.30", { PILOT_SIDECAR_PICK_BEST_SERVICE_NAMESPACE: "false" }],
  ["1.31", { PILOT_ENABLE_STRICT_GATEWAY_MERGING: "false", PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS: "false" }],
];

/** The values that `compatibilityVersion` may have. */
export const compatibilityVersions = ["1.25", "1.26", "1.27", "1.28", "1.29", "1.30"] as const;

/** The values that restore the behaviour of an earlier version. Returns undefined for an unknown version. */
export function compatibilityValues(version: string): { readonly pilot: { readonly env: Tree } } | undefined {
  const known: readonly string[] = compatibilityVersions;
  if (!known.includes(version)) return undefined;
  // Versions can be compared as strings, because all have two digits after the point.
  const later = changes.filter(([changed]) => changed > version).map(([, variables]) => variables);
  return { pilot: { env: Object.assign({}, ...later) as Tree } };
}
