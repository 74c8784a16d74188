// Moves an application by a Canary, whose weight goes 0 -> 10 -> 50 -> 100 -> 0.
import assert from "node:assert/strict";
import { canaryKind, type RolloutPhase, type RolloutStatus } from "../../../src/api/serin/index.ts";
import type { UntypedObject } from "../../../src/api/index.ts";
import { systemClock } from "../../../src/base/index.ts";
import { follow, type FollowOptions } from "./follow.ts";
import { namespaces } from "./load-plans.ts";
import { productpageRoute } from "./objects.ts";
import { samplesAt, type Proof } from "./proof.ts";
import { gatewayAddress } from "./stage.ts";

const checkLimits = { timeoutSeconds: 120 };
const canaryTimeoutMs = 420_000;
/**
 * The smallest number of answers that a step waits for. With the smallest load, a canary with a weight of 10 % gets one
 * request in five seconds.
 */
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
  const forth = await followWithRequests(proof, "forth", options);
  if (forth.phase !== "Completed")
    throw new Error(`the canary ended as ${forth.phase}: ${forth.cause ?? forth.message}`);
  await lab.serin(["canary", "undo", "forth", "-n", namespaces.shop]);
  const back = await follow(proof, canaryKind, "forth", { ...options, until: ["RolledBack", "Stuck"] });
  if (back.phase !== "RolledBack") throw new Error(`the way back ended as ${back.phase}: ${back.message}`);
  proof.note("weight 100/0 again");
}

const requestsAtOnce = 20;
const lookMs = 200;

/**
 * Follows a Canary. With less than the full load, it sends requests itself while a step waits for answers. With the
 * smallest load alone, 25 s would pass until the canary has answered five pages at a weight of 10 %. It requests the
 * list of products, which has the page's route, and for which productpage calls no other application.
 */
async function followWithRequests(proof: Proof, name: string, options: FollowOptions): Promise<RolloutStatus> {
  let phase: RolloutPhase | undefined;
  const ended = new AbortController();
  const followed = follow(proof, canaryKind, name, {
    ...options,
    isEnough: (status) => {
      ({ phase } = status);
      return false;
    },
  }).finally(() => ended.abort());
  const sendRequests = async (): Promise<void> => {
    const url = `http://${await gatewayAddress(proof)}/api/v1/products`;
    const found = "%{http_code} %{exitcode} %{time_total} s %{errormsg}";
    const command = `curl -s -m 4 -o /dev/null -w '${found}\\n' '${url}?[1-${requestsAtOnce}]'`;
    while (!ended.signal.aborted) {
      if (phase === "Judging") {
        const { output } = await proof.lab.cluster.shell(command);
        const lines = output.trim().split("\n");
        const failed = lines.filter((line) => !line.startsWith("200 0 "));
        assert.deepEqual(failed, [], `requests that the canary waited for, at ${new Date().toISOString()}`);
        assert.equal(lines.length, requestsAtOnce, output);
      } else await systemClock.sleep(lookMs, proof.signal);
    }
  };
  const [status] = await Promise.all([followed, proof.scale.rate < 1 ? sendRequests() : undefined]);
  return status;
}
