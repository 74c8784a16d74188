import assert from "node:assert/strict";
import { test } from "node:test";
import type { Deployment, ReplicaSet } from "../../../api/kubernetes/index.ts";
import { deploymentStatus, type DeploymentStatus, type StatusDecision } from "./deployment-status.ts";

type Condition = NonNullable<DeploymentStatus["conditions"]>[number];

const begin = "2026-01-01T00:00:00Z";
const beginMs = Date.parse(begin);

const set = (name: string, replicas: number, available: number, wanted = replicas): ReplicaSet => ({
  metadata: { name },
  spec: { replicas: wanted, selector: {} },
  status: { replicas, readyReplicas: available, availableReplicas: available },
});
const deployment = (spec: Partial<NonNullable<Deployment["spec"]>> = {}, status?: DeploymentStatus): Deployment => ({
  metadata: { name: "web", generation: 4 },
  spec: { replicas: 3, selector: {}, template: {}, ...spec },
  ...(status === undefined ? {} : { status }),
});

interface Situation {
  readonly newSet?: ReplicaSet;
  readonly oldSets?: readonly ReplicaSet[];
  readonly afterSeconds?: number;
  readonly failure?: string;
}

function decide(
  deploymentObject: Deployment,
  { newSet, oldSets = [], afterSeconds = 0, failure }: Situation,
): StatusDecision {
  const nowMs = beginMs + afterSeconds * 1000;
  const now = new Date(nowMs).toISOString().replace(".000Z", "Z");
  return deploymentStatus({ deployment: deploymentObject, newSet, oldSets, now, nowMs, failure });
}

const conditionOf = ({ status }: StatusDecision, type: string): Condition | undefined =>
  status.conditions?.find((condition) => condition.type === type);
const describeCondition = (decision: StatusDecision, type: string): string => {
  const found = conditionOf(decision, type);
  return found === undefined ? "absent" : `${found.status} ${found.reason}`;
};
const progressing = (reason: string, status: Condition["status"], message = ""): Condition => ({
  type: "Progressing",
  status,
  reason,
  message,
  lastTransitionTime: begin,
  lastUpdateTime: begin,
});

test("the counts are sums over all sets, and updated pods are those of the new set", () => {
  const { status } = decide(deployment(), { newSet: set("new", 1, 0), oldSets: [set("old", 3, 2)] });
  const { replicas, updatedReplicas, readyReplicas, availableReplicas, unavailableReplicas, observedGeneration } =
    status;
  assert.deepEqual(
    { replicas, updatedReplicas, readyReplicas, availableReplicas, unavailableReplicas, observedGeneration },
    {
      replicas: 4,
      updatedReplicas: 1,
      readyReplicas: 2,
      availableReplicas: 2,
      unavailableReplicas: 2,
      observedGeneration: 4,
    },
  );
});

test("pods that do not exist yet are unavailable", () => {
  assert.equal(decide(deployment(), { newSet: set("new", 0, 0, 3) }).status.unavailableReplicas, 3);
});

test("a rolling Deployment is available as long as not more pods are missing than allowed", () => {
  const strategy = { type: "RollingUpdate" as const, rollingUpdate: { maxUnavailable: 1 } };
  assert.equal(
    describeCondition(decide(deployment({ strategy }), { newSet: set("new", 3, 2) }), "Available"),
    "True MinimumReplicasAvailable",
  );
  assert.equal(
    describeCondition(decide(deployment({ strategy }), { newSet: set("new", 3, 1) }), "Available"),
    "False MinimumReplicasUnavailable",
  );
});

test("a condition's transition time moves only with its status", () => {
  const before: DeploymentStatus = {
    conditions: [
      {
        type: "Available",
        status: "False",
        reason: "MinimumReplicasUnavailable",
        message: "Deployment does not have minimum availability.",
        lastTransitionTime: begin,
      },
    ],
  };
  const later = { afterSeconds: 60 };
  const same = decide(deployment({}, before), { newSet: set("new", 3, 0), ...later });
  assert.equal(conditionOf(same, "Available")?.lastTransitionTime, begin);
  const changed = decide(deployment({}, before), { newSet: set("new", 3, 3), ...later });
  assert.equal(conditionOf(changed, "Available")?.lastTransitionTime, "2026-01-01T00:01:00Z");
});

test("a rollout is complete when all pods are of the new set and available", () => {
  const complete = decide(deployment(), { newSet: set("new", 3, 3), oldSets: [set("old", 0, 0)] });
  assert.equal(complete.complete, true);
  assert.equal(complete.lookAgainMs, undefined);
  assert.equal(describeCondition(complete, "Progressing"), "True NewReplicaSetAvailable");
  assert.equal(conditionOf(complete, "Progressing")?.message, 'ReplicaSet "new" has successfully progressed.');
  assert.equal(decide(deployment(), { newSet: set("new", 3, 3), oldSets: [set("old", 1, 1)] }).complete, false);
  assert.equal(decide(deployment(), { newSet: set("new", 3, 2) }).complete, false);
  assert.equal(decide(deployment(), { oldSets: [set("old", 3, 3)] }).complete, false);
});

test("each progress of a rollout restarts the deadline", () => {
  const before = { updatedReplicas: 1, conditions: [progressing("ReplicaSetUpdated", "True")] };
  const decision = decide(deployment({ progressDeadlineSeconds: 60 }, before), {
    newSet: set("new", 2, 0),
    afterSeconds: 50,
  });
  assert.equal(describeCondition(decision, "Progressing"), "True ReplicaSetUpdated");
  assert.equal(conditionOf(decision, "Progressing")?.lastUpdateTime, "2026-01-01T00:00:50Z");
  assert.equal(conditionOf(decision, "Progressing")?.lastTransitionTime, begin);
  assert.equal(decision.lookAgainMs, 60_000);
});

test("a rollout without progress fails after progressDeadlineSeconds, and not before", () => {
  const before = { updatedReplicas: 2, conditions: [progressing("ReplicaSetUpdated", "True")] };
  const stuck = deployment({ progressDeadlineSeconds: 60 }, before);
  const early = decide(stuck, { newSet: set("new", 2, 0), afterSeconds: 59 });
  assert.deepEqual([describeCondition(early, "Progressing"), early.lookAgainMs], ["True ReplicaSetUpdated", 1_000]);
  const late = decide(stuck, { newSet: set("new", 2, 0), afterSeconds: 60 });
  assert.equal(describeCondition(late, "Progressing"), "False ProgressDeadlineExceeded");
});

test("a rollout that failed its deadline succeeds if its pods become available later", () => {
  const before = { updatedReplicas: 3, conditions: [progressing("ProgressDeadlineExceeded", "False")] };
  const decision = decide(deployment({}, before), { newSet: set("new", 3, 3), afterSeconds: 900 });
  assert.equal(describeCondition(decision, "Progressing"), "True NewReplicaSetAvailable");
});

test("a Deployment without a deadline has no condition Progressing", () => {
  const before = { conditions: [progressing("ReplicaSetUpdated", "True")] };
  const endless = deployment({ progressDeadlineSeconds: 2_147_483_647 }, before);
  assert.equal(describeCondition(decide(endless, { newSet: set("new", 2, 0) }), "Progressing"), "absent");
});

test("the deadline does not run while a Deployment is paused, and starts again when it is resumed", () => {
  const before = { conditions: [progressing("ReplicaSetUpdated", "True")] };
  const paused = decide(deployment({ paused: true, progressDeadlineSeconds: 60 }, before), {
    newSet: set("new", 1, 0),
    afterSeconds: 600,
  });
  assert.deepEqual(
    [describeCondition(paused, "Progressing"), paused.lookAgainMs],
    ["Unknown DeploymentPaused", undefined],
  );
  const resumed = decide(deployment({ progressDeadlineSeconds: 60 }, paused.status), {
    newSet: set("new", 1, 0),
    afterSeconds: 900,
  });
  assert.deepEqual(
    [describeCondition(resumed, "Progressing"), resumed.lookAgainMs],
    ["Unknown DeploymentResumed", 60_000],
  );
});

test("the Deployment gets the condition of a set whose pods are refused, preferably the new set's", () => {
  const refused = (from: ReplicaSet, message: string): ReplicaSet => ({
    ...from,
    status: {
      replicas: 0,
      ...from.status,
      conditions: [
        { type: "ReplicaFailure", status: "True", reason: "FailedCreate", message, lastTransitionTime: begin },
      ],
    },
  });
  const decision = decide(deployment(), {
    newSet: refused(set("new", 0, 0, 3), "exceeded quota"),
    oldSets: [refused(set("old", 3, 3), "no room")],
  });
  assert.equal(conditionOf(decision, "ReplicaFailure")?.message, "exceeded quota");
  const solved = decide(deployment({}, decision.status), { newSet: set("new", 3, 3) });
  assert.equal(describeCondition(solved, "ReplicaFailure"), "absent");
});

test("a Deployment of the strategy Recreate is available only with all its pods", () => {
  const recreate = deployment({ strategy: { type: "Recreate" } });
  assert.equal(
    describeCondition(decide(recreate, { newSet: set("new", 3, 2) }), "Available"),
    "False MinimumReplicasUnavailable",
  );
  assert.equal(
    describeCondition(decide(recreate, { newSet: set("new", 3, 3) }), "Available"),
    "True MinimumReplicasAvailable",
  );
});

test("a Deployment that has rolled out stays so when its pods are unavailable later, or when it is scaled", () => {
  const done = decide(deployment(), { newSet: set("new", 3, 3) }).status;
  const crashed = decide(deployment({}, done), { newSet: set("new", 3, 1), afterSeconds: 60 });
  assert.equal(describeCondition(crashed, "Progressing"), "True NewReplicaSetAvailable");
  assert.equal(describeCondition(crashed, "Available"), "False MinimumReplicasUnavailable");
  const long = decide(deployment({}, crashed.status), { newSet: set("new", 3, 1), afterSeconds: 3_600 });
  assert.deepEqual(
    [describeCondition(long, "Progressing"), long.lookAgainMs],
    ["True NewReplicaSetAvailable", undefined],
  );
  const scaled = decide(deployment({ replicas: 5 }, done), { newSet: set("new", 4, 3, 5), afterSeconds: 60 });
  assert.equal(describeCondition(scaled, "Progressing"), "True NewReplicaSetAvailable");
});

test("a new template begins a rollout with its own deadline, even of a Deployment that had no pods", () => {
  const done = decide(deployment(), { newSet: set("old", 3, 3) }).status;
  const next = decide(deployment({}, done), { newSet: set("new", 0, 0, 1), oldSets: [set("old", 3, 3)] });
  assert.deepEqual([describeCondition(next, "Progressing"), next.lookAgainMs], ["True ReplicaSetUpdated", 600_000]);
  const empty = decide(deployment({ replicas: 0 }), { newSet: set("old", 0, 0) }).status;
  const first = decide(deployment({}, empty), { newSet: set("new", 0, 0, 3), oldSets: [set("old", 0, 0)] });
  assert.deepEqual([describeCondition(first, "Progressing"), first.lookAgainMs], ["True ReplicaSetUpdated", 600_000]);
});

test("a pause does not hide that a rollout failed its deadline", () => {
  const before = { conditions: [progressing("ProgressDeadlineExceeded", "False")] };
  const paused = decide(deployment({ paused: true }, before), { newSet: set("new", 1, 0) });
  assert.equal(describeCondition(paused, "Progressing"), "False ProgressDeadlineExceeded");
});
