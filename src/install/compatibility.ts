import type { Tree } from "../base/index.ts";

/**
 * The pilot's variables that keep the behaviour from before a version of Istio changed it. The installer names those
 * that have no effect.
 */
const changes: readonly (readonly [version: string, variables: Readonly<Record<string, string>>])[] = [
  ["1.27", { ENABLE_NATIVE_SIDECARS: "false" }],
  ["1.28", { DISABLE_SHADOW_HOST_SUFFIX: "false" }],
  ["1.29", { DISABLE_TRACK_REMAINING_CB_METRICS: "false" }],
  ["1.30", { PILOT_SIDECAR_PICK_BEST_SERVICE_NAMESPACE: "false" }],
  ["1.31", { PILOT_ENABLE_STRICT_GATEWAY_MERGING: "false", PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS: "false" }],
];

/** The versions of Istio whose behaviour an installation may request. */
export const compatibilityVersions = ["1.25", "1.26", "1.27", "1.28", "1.29", "1.30"] as const;

/** The values of `compatibilityVersion`. Undefined for an unknown version. */
export function compatibilityValues(version: string): { readonly pilot: { readonly env: Tree } } | undefined {
  const known: readonly string[] = compatibilityVersions;
  if (!known.includes(version)) return undefined;
  // All versions have two digits after the point, so they can be compared as texts.
  const later = changes.filter(([changed]) => changed > version).map(([, variables]) => variables);
  return { pilot: { env: Object.assign({}, ...later) as Tree } };
}
