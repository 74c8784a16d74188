import { istioLabels } from "../../api/istio/index.ts";
import type { Labels } from "./facts.ts";

/** Istio's canonical service of a workload. The labels are in order of precedence. */
export function canonicalName(labels: Labels, workloadName: string): string {
  return firstOf(labels, [istioLabels.canonicalName, "app.kubernetes.io/name", "app"]) ?? workloadName;
}

export function canonicalRevision(labels: Labels): string {
  return firstOf(labels, [istioLabels.canonicalRevision, "app.kubernetes.io/version", "version"]) ?? "latest";
}

export const canonicalLabels = [
  "app",
  "app.kubernetes.io/name",
  "app.kubernetes.io/version",
  istioLabels.canonicalName,
  istioLabels.canonicalRevision,
  "version",
] as const;

function firstOf(labels: Labels, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = labels[name];
    if (value !== undefined && value !== "") return value;
  }
  return undefined;
}
