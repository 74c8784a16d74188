import { userError } from "../../../base/index.ts";
import { formatIssues } from "../../../api/index.ts";
import {
  checkKind,
  faultsOfReferences,
  parseCheck,
  requestCheckFault,
  resolveChecks,
  type Canary,
  type CheckReference,
  type CheckSpec,
  type MeshUpgrade,
} from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { ClusterView } from "../cluster-view.ts";

/** A reference in a MeshUpgrade that names no namespace means this one. */
const clusterNamespace = "istio-system";

/**
 * Replaces a rollout's references to Checks by the Checks' specs. Throws a user error for a missing or invalid Check.
 */
export async function withChecks<Value extends Canary | MeshUpgrade>(
  client: KubeClient,
  view: ClusterView,
  rollout: Value,
): Promise<Value> {
  const home = rollout.metadata.namespace ?? clusterNamespace;
  const references = listsOf(rollout).flatMap((checks) =>
    checks.flatMap(({ ref }) => (ref === undefined ? [] : [{ name: ref.name, namespace: ref.namespace ?? home }])),
  );
  if (references.length === 0) return rollout;
  const found = new Map<string, CheckSpec>();
  for (const reference of references) {
    const spec = await specOf(client, view, reference);
    if (spec !== undefined) found.set(keyOfReference(reference), spec);
  }
  const resolve = (checks: readonly CheckSpec[]): readonly CheckSpec[] =>
    resolveChecks(checks, home, (reference) => found.get(keyOfReference(reference)));
  const whole = { ...rollout, spec: resolved(rollout.spec, resolve) };
  refuseEndlessChecks(rollout, whole);
  return whole;
}

/**
 * Remarks about checks that have no effect in an upgrade. Their type is known only after their references are resolved.
 */
export function ignoredReferences(given: MeshUpgrade, whole: MeshUpgrade): readonly string[] {
  return faultsOfReferences(given.spec, whole.spec).map((issue) => formatIssues([issue]));
}

/** Throws a user error if a Check that the Canary references could never pass for its target. */
function refuseEndlessChecks({ spec: given }: Canary | MeshUpgrade, { spec }: Canary | MeshUpgrade): void {
  if (!("target" in spec) || !("target" in given)) return;
  const places = [
    { place: "spec.checks", checks: spec.checks, before: given.checks },
    ...spec.steps.map(({ checks }, index) => ({
      place: `spec.steps[${index}].checks`,
      checks,
      before: given.steps[index]?.checks ?? [],
    })),
  ];
  for (const { place, checks, before } of places)
    for (const [index, check] of checks.entries()) {
      const fault = before[index]?.ref === undefined ? undefined : requestCheckFault(spec.target, check);
      if (fault !== undefined) throw userError("rollout-invalid", `${place}[${index}].ref: ${fault}`);
    }
}

function listsOf({ spec }: Canary | MeshUpgrade): (readonly CheckSpec[])[] {
  return [spec.checks, ...("steps" in spec ? spec.steps : spec.waves).map(({ checks }) => checks)];
}

function resolved(
  spec: Canary["spec"] | MeshUpgrade["spec"],
  resolve: (checks: readonly CheckSpec[]) => readonly CheckSpec[],
): Canary["spec"] | MeshUpgrade["spec"] {
  const checks = resolve(spec.checks);
  if ("steps" in spec)
    return { ...spec, checks, steps: spec.steps.map((step) => ({ ...step, checks: resolve(step.checks) })) };
  return { ...spec, checks, waves: spec.waves.map((wave) => ({ ...wave, checks: resolve(wave.checks) })) };
}

function keyOfReference({ name, namespace }: Required<CheckReference>): string {
  return `${namespace}/${name}`;
}

async function specOf(
  client: KubeClient,
  view: ClusterView,
  reference: Required<CheckReference>,
): Promise<CheckSpec | undefined> {
  const key = keyOfReference(reference);
  const object = await view.recently(
    `check ${key}`,
    async () => await client.get(checkKind, reference.name, reference.namespace),
  );
  if (object === undefined) return undefined;
  const { value, errors } = parseCheck(object);
  if (value === undefined) throw userError("rollout-invalid", `Check ${key}: ${formatIssues(errors)}`);
  return value.spec;
}
