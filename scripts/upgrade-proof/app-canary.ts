// Moves an application by canary: 0 -> 10 -> 50 -> 100 -> 0.
import { canaryKind } from "../../src/api/serin/index.ts";
import type { UntypedObject } from "../../src/api/index.ts";
import { follow } from "./follow.ts";
import { namespaces } from "./load-plans.ts";
import { productpageRoute } from "./objects.ts";
import { samplesAt, type Proof } from "./proof.ts";

const checkLimits = { timeoutSeconds: 120 };
const canaryTimeoutMs = 420_000;
/** A tenth of the page's requests with the least load is one in five seconds. */
const fewestOfCanary = 5;

function appChecks({ scale }: Proof): readonly object[] {
  return [
    { type: "request-success-rate", ...checkLimits, minSamples: samplesAt(scale, 40, fewestOfCanary) },
    { type: "request-share", ...checkLimits, minSamples: samplesAt(scale, 200) },
  ];
}

const allWeights = [10, 50, 100];

export function appCanary(
  name: string,
  checks: readonly object[],
  weights: readonly number[] = allWeights,
): UntypedObject {
  return {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "Canary",
    metadata: { name, namespace: namespaces.shop },
    spec: {
      target: productpageRoute,
      steps: weights.map((weight) => ({ weight })),
      checks,
    },
  };
}

export async function playCanary(proof: Proof): Promise<void> {
  const { lab } = proof;
  const options = { namespace: namespaces.shop, timeoutMs: canaryTimeoutMs };
  await lab.api.apply([appCanary("forth", appChecks(proof))]);
  const forth = await follow(proof, canaryKind, "forth", options);
  if (forth.phase !== "Completed")
    throw new Error(`the canary ended as ${forth.phase}: ${forth.cause ?? forth.message}`);
  await lab.serin(["canary", "undo", "forth", "-n", namespaces.shop]);
  const back = await follow(proof, canaryKind, "forth", { ...options, until: ["RolledBack", "Stuck"] });
  if (back.phase !== "RolledBack") throw new Error(`the way back ended as ${back.phase}: ${back.message}`);
  proof.note("weight 100/0 again");
}
