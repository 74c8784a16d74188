import { userError } from "../../base/index.ts";
import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { parseCheckSpec, type CheckReference, type CheckSpec } from "./check-spec.ts";
import { rolloutGroup, rolloutVersion } from "./rollout-status.ts";

/** rollout.serin.dev/v1alpha1 Check: a check that rollouts refer to by `{ref: name}`. */
export interface Check extends KubernetesObject {
  spec: CheckSpec;
}

export const checkKind = defineKind<Check>({
  group: rolloutGroup,
  versions: [rolloutVersion],
  kind: "Check",
  plural: "checks",
  namespaced: true,
  parse: parseCheck,
});

export function parseCheck(raw: unknown): Parsed<Check> {
  const reader = new Reader(raw);
  reader.ignore("apiVersion", "kind", "status");
  const metadata = reader.object("metadata")?.raw as Check["metadata"] | undefined;
  const spec = reader.required("spec", reader.object("spec"));
  const parsed = spec === undefined ? undefined : parseCheckSpec(spec);
  reader.unknownFields();
  return reader.finish(() => ({
    apiVersion: `${rolloutGroup}/${rolloutVersion}`,
    kind: "Check",
    metadata: metadata ?? {},
    spec: parsed as CheckSpec,
  }));
}

/**
 * Replaces references with the Checks that they name. `find` receives the namespace of the reference, or else the
 * rollout's. Throws a user error if a Check is missing.
 */
export function resolveChecks(
  checks: readonly CheckSpec[],
  home: string,
  find: (reference: Required<CheckReference>) => CheckSpec | undefined,
): readonly CheckSpec[] {
  return checks.map((check) => {
    if (check.ref === undefined) return check;
    const { name, namespace = home } = check.ref;
    const found = find({ name, namespace });
    if (found === undefined)
      throw userError("object-missing", `Check ${namespace}/${name}, which the rollout names, does not exist`, {
        hint: `create it, or list the existing Checks: kubectl get checks -n ${namespace}`,
      });
    return { ...found, name: check.name ?? name, dryRun: check.dryRun === true || found.dryRun === true };
  });
}
