import { canaryKind, hasUndoFinalizer, kubectlObject, type Canary } from "../../../api/serin/index.ts";
import { targetError } from "../../plan/index.ts";
import type { CanarySources } from "./canary-sources.ts";

/**
 * Throws if another Canary of the Deployment already holds it, or is older than this one. Both would hold the
 * Deployment by the same field, and when one rolls the Deployment, the other would take that for a new version.
 */
export async function refuseSharedDeployment(
  { client }: CanarySources,
  canary: Canary,
  deployment: string,
): Promise<void> {
  const { namespace = "default" } = canary.metadata;
  const { items } = await client.list(canaryKind, { namespace });
  const others = items.filter(
    ({ metadata, spec }) => metadata.name !== canary.metadata.name && deploymentOf(spec) === deployment,
  );
  const first = others.find((other) => hasUndoFinalizer(other)) ?? others.find((other) => isOlder(other, canary));
  if (first === undefined) return;
  const name = first.metadata.name ?? "";
  throw targetError(
    "target-taken",
    `spec.target.deployment.name: Canary ${namespace}/${name} already moves Deployment ${namespace}/${deployment}`,
    oneCanary(namespace, name),
  );
}

export function oneCanary(namespace: string, name: string): string {
  return `keep one of the two Canaries: change ${namespace}/${name} and delete this one, or kubectl delete ${kubectlObject("Canary", { name, namespace })}`;
}

/**
 * The name of the Deployment that a Canary moves. Undefined if the target is of another kind. Reads an unparsed spec.
 */
function deploymentOf(spec: Canary["spec"] | undefined): unknown {
  const { target } = (spec ?? {}) as { readonly target?: { readonly deployment?: { readonly name?: unknown } } };
  return target?.deployment?.name;
}

function isOlder({ metadata: other }: Canary, { metadata: self }: Canary): boolean {
  const [otherMs, selfMs] = [other, self].map(({ creationTimestamp = "" }) => Date.parse(creationTimestamp) || 0);
  return otherMs === selfMs ? (other.name ?? "") < (self.name ?? "") : (otherMs ?? 0) < (selfMs ?? 0);
}
