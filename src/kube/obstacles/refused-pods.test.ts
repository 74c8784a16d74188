import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeClient } from "../client.ts";
import { refusedPods } from "./refused-pods.ts";

/** The hint for a Deployment whose pods the API server refuses with this message. */
async function hintFor(message: string): Promise<string> {
  const conditions = [{ type: "ReplicaFailure", status: "True", message }];
  const client = { get: () => Promise.resolve({ metadata: {}, status: { conditions } }) } as unknown as KubeClient;
  const workload = { kind: "Deployment", name: "istiod", namespace: "istio-system" } as const;
  return (await refusedPods(client, workload))?.hint ?? "";
}

test("a refusal by a LimitRange leads to it, also if the limit that it gave is below the container's request", async () => {
  const messages = [
    'pods "istiod-1" is forbidden: maximum memory usage per Container is 256Mi, but limit is 1Gi',
    'pods "istiod-1" is forbidden: minimum cpu usage per Container is 50m, but request is 10m',
    'pods "istiod-1" is forbidden: memory max limit to request ratio per Container is 2, but provided ratio is 10.666667',
    'Pod "istiod-1" is invalid: spec.containers[0].resources.requests: Invalid value: "512Mi": must be less than or equal to memory limit of 128Mi',
  ];
  for (const message of messages)
    assert.match(await hintFor(message), /^A LimitRange .*kubectl describe limitrange -n istio-system/, message);
});

test("a refusal by others' admission names the webhook or policy and the namespace to exempt", async () => {
  assert.match(
    await hintFor('admission webhook "images.policies.example.com" denied the request: no image of ghcr.io'),
    /^The admission webhook images\.policies\.example\.com refuses the pods: .*namespace istio-system/,
  );
  assert.match(
    await hintFor(
      `pods "istiod-1" is forbidden: ValidatingAdmissionPolicy 'images' with binding 'all' denied request: no`,
    ),
    /^The ValidatingAdmissionPolicy images refuses the pods/,
  );
});

test("a webhook that does not answer gets another hint than one that refuses", async () => {
  assert.match(
    await hintFor(
      'Internal error occurred: failed calling webhook "images.policies.example.com": failed to call webhook: Post "https://10.0.0.1": connection refused',
    ),
    /^The admission webhook images\.policies\.example\.com, which is not the mesh's, does not answer/,
  );
});

const ofAutopilot = `admission webhook "warden-validating.common-webhooks.networking.gke.io" denied the request: GKE Warden rejected the request because it violates one or more constraints. Violations details: {"[denied by autogke-no-write-mode-hostpath]":["hostPath volume cni-bin-dir in container install-cni is accessed in write mode; disallowed in Autopilot."]}`;

test("a refusal by GKE Autopilot says that the agent needs a Standard cluster, instead of an exemption that nobody can give", async () => {
  const hint = await hintFor(ofAutopilot);
  assert.match(hint, /^GKE Autopilot admits neither the CNI agent nor a ztunnel.* Standard cluster/);
  assert.doesNotMatch(hint, /exempt/);
});

test("a priority class that does not exist is named with its value", async () => {
  assert.match(
    await hintFor('pods "istiod-1" is forbidden: no PriorityClass with name mesh was found'),
    /^Create the PriorityClass mesh, or .*values\.global\.priorityClassName/,
  );
});
