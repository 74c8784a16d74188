import "reflect-metadata";
import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { test } from "node:test";
import { X509CertificateGenerator } from "@peculiar/x509";
import type { Deployment, Namespace, Pod, PodDisruptionBudget, ReplicaSet } from "../../api/kubernetes/index.ts";
import { estimate, readySeconds } from "../estimate.ts";
import { checkTrust, type TrustInput } from "./trust.ts";
import { waveOrder } from "./wave-order.ts";
import { surveyWorkloads, type WorkloadFacts } from "./workloads.ts";

async function newRoot(): Promise<string> {
  const signingAlgorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(signingAlgorithm, true, ["sign", "verify"]);
  return (
    await X509CertificateGenerator.createSelfSigned({
      serialNumber: "01",
      name: "O=root",
      notBefore: new Date(0),
      notAfter: new Date(4e12),
      keys,
      signingAlgorithm,
    })
  ).toString("pem");
}

const [root, other] = [await newRoot(), await newRoot()];
const domain = { trustDomain: "cluster.local", aliases: [] };

function trust(more: Partial<TrustInput> = {}): TrustInput {
  return {
    fromNamespace: "istio-system",
    toNamespace: "istio-system",
    fromMesh: domain,
    toMesh: domain,
    authorities: new Map([["istio-system", { selfSigned: root }]]),
    distributed: new Map([
      ["istio-system", root],
      ["shop", root],
    ]),
    ...more,
  };
}

const severities = (input: TrustInput): string[] =>
  checkTrust(input).findings.map(({ severity, message }) => `${severity}: ${message}`);

test("one root and one trust domain on both sides need no finding", () => {
  assert.deepEqual(severities(trust()), []);
});

test("an untrusted plugged-in root blocks, and a trusted one warns", () => {
  const pluggedIn = new Map([["istio-system", { selfSigned: root, pluggedIn: other }]]);
  assert.match(
    severities(trust({ authorities: pluggedIn }))[0] ?? "",
    /^blocked: the roots differ: .*Secret istio-system\/cacerts/,
  );
  const bundle = `${root}\n${other}`;
  assert.match(
    severities(trust({ authorities: pluggedIn, distributed: new Map([["istio-system", bundle]]) }))[0] ?? "",
    /^warning: the roots overlap/,
  );
});

test("a control plane in a namespace without an authority is blocked, because it would create its own root; unreadable Secrets are reported", () => {
  assert.match(
    severities(trust({ toNamespace: "mesh-2" }))[0] ?? "",
    /^blocked: the new control plane would sign with a root of its own/,
  );
  assert.match(
    severities(trust({ authorities: undefined }))[0] ?? "",
    /^warning: .*reading its Secrets is not allowed/,
  );
});

test("a different trust domain blocks, unless each is an alias of the other", () => {
  assert.match(
    severities(trust({ toMesh: { trustDomain: "b.example", aliases: [] } }))[0] ?? "",
    /^blocked: the trust domains differ: cluster\.local now, b\.example/,
  );
  const aliased = trust({
    fromMesh: { ...domain, aliases: ["b.example"] },
    toMesh: { trustDomain: "b.example", aliases: ["cluster.local"] },
  });
  assert.match(severities(aliased)[0] ?? "", /^warning: /);
});

test("a namespace that distributes another root appears in the result", () => {
  const { report, findings } = checkTrust(
    trust({
      distributed: new Map([
        ["istio-system", root],
        ["shop", other],
      ]),
    }),
  );
  assert.deepEqual([report.staleNamespaces, findings.map(({ severity }) => severity)], [["shop"], ["warning"]]);
});

const ready = { conditions: [{ type: "Ready", status: "True", lastTransitionTime: "2026-01-01T00:00:04Z" }] };

function sidecar(
  name: string,
  owner: { kind: string; name: string } | undefined,
  more: { labels?: Record<string, string>; revision?: string } = {},
): Pod {
  return {
    metadata: {
      name,
      namespace: "shop",
      creationTimestamp: "2026-01-01T00:00:00Z",
      labels: { app: name, ...more.labels },
      annotations: { "sidecar.istio.io/status": "{}", "istio.io/rev": more.revision ?? "old" },
      ...(owner === undefined
        ? {}
        : { ownerReferences: [{ apiVersion: "apps/v1", uid: "", controller: true, ...owner }] }),
    },
    status: { phase: "Running", ...ready } as NonNullable<Pod["status"]>,
  };
}

function deployment(name: string, spec: Partial<NonNullable<Deployment["spec"]>> = {}): Deployment {
  return { metadata: { name, namespace: "shop" }, spec: { selector: {}, template: {}, ...spec } };
}

const replicaSet = (name: string): ReplicaSet => ({
  metadata: {
    name: `${name}-1`,
    namespace: "shop",
    ownerReferences: [{ apiVersion: "apps/v1", kind: "Deployment", name, uid: "", controller: true }],
  },
});
const namespace = (name: string, labels: Record<string, string>): Namespace => ({ metadata: { name, labels } });

function facts(more: Partial<WorkloadFacts> = {}): WorkloadFacts {
  const names = ["web", "api", "pinned", "away"];
  return {
    pods: [
      ...names.map((name) =>
        sidecar(`${name}-1-a`, { kind: "ReplicaSet", name: `${name}-1` }, { labels: { app: name } }),
      ),
      sidecar("bare", undefined),
      sidecar("job-1", { kind: "Job", name: "job" }),
      sidecar("new", { kind: "ReplicaSet", name: "web-1" }, { revision: "new" }),
    ],
    namespaces: [namespace("shop", { "istio.io/rev": "prod" })],
    deployments: [
      deployment("web"),
      deployment("api"),
      deployment("pinned", { template: { metadata: { labels: { "istio.io/rev": "old" } } } }),
      deployment("away", { strategy: { type: "Recreate" } }),
    ],
    replicaSets: names.map(replicaSet),
    statefulSets: [],
    daemonSets: [],
    budgets: [],
    gateways: [],
    tags: new Map([["prod", "old"]]),
    connections: new Map(),
    ...more,
  };
}

test("pods of the old revision are listed by workload, with those that a restart does not move and the reason", () => {
  const { report, findings } = surveyWorkloads(facts(), "old");
  assert.deepEqual(
    report.namespaces.map(({ namespace: name, by, pods }) => [name, by, pods]),
    [["shop", "istio.io/rev=prod (tag -> old)", 6]],
  );
  assert.deepEqual(
    report.stuck.map(({ kind, name, reason }) => `${kind} ${name}: ${reason}`),
    [
      "Deployment pinned: its own pod template names the revision (istio.io/rev: old)",
      "Job job: a Job: a restart would run it again",
      "Pod bare: a bare pod: nothing recreates it",
    ],
  );
  assert.deepEqual(
    findings.map(({ message }) => message.split(":")[0]),
    ["3 workloads need manual work", "1 Deployment has no ready pods while it restarts"],
  );
});

test("a paused Deployment is to be resumed, but one that a Canary holds is to be changed", () => {
  const todo = (...managers: readonly string[]): string | undefined => {
    const paused = deployment("web", { paused: true });
    const managedFields = managers.map((manager, index) => ({
      manager,
      time: `2026-11-20T12:00:0${index}Z`,
      fieldsV1: { "f:spec": { "f:paused": {} } },
    }));
    const metadata = { ...paused.metadata, managedFields };
    const { report } = surveyWorkloads(facts({ deployments: [{ ...paused, metadata }] }), "old");
    return report.stuck.find(({ name }) => name === "web")?.todo;
  };
  assert.equal(todo("kubectl-rollout"), "kubectl -n shop rollout resume deployment/web");
  assert.match(todo("serin-rollout") ?? "", /^change the pod template of Deployment web /);
  assert.equal(todo("serin-rollout", "gitops"), "kubectl -n shop rollout resume deployment/web");
});

test("pods that only their deletion replaces are reported with this remedy", () => {
  const set = (name: string, updateStrategy: object) =>
    ({ metadata: { name, namespace: "shop" }, spec: { selector: {}, template: {}, updateStrategy } }) as never;
  const { report } = surveyWorkloads(
    facts({
      pods: [
        sidecar("db-0", { kind: "StatefulSet", name: "db" }),
        sidecar("kept-0", { kind: "StatefulSet", name: "kept" }),
        sidecar("log-a", { kind: "DaemonSet", name: "log" }),
        sidecar("lone-a", { kind: "ReplicaSet", name: "lone" }),
      ],
      statefulSets: [set("db", { rollingUpdate: { partition: 2 } }), set("kept", { type: "OnDelete" })],
      daemonSets: [set("log", { type: "OnDelete" })],
    }),
    "old",
  );
  assert.deepEqual(
    report.stuck.map(({ name, todo }) => `${name}: ${todo.split(" one by one")[0] ?? ""}`),
    ["log: delete its pods", "lone: delete its pods", "db: delete these pods", "kept: delete its pods"],
  );
});

test("a disruption budget is reported if the wave's update would take more pods than it allows", () => {
  const budget = (name: string, app: string, status: Partial<NonNullable<PodDisruptionBudget["status"]>> = {}) => ({
    metadata: { name, namespace: "shop" },
    spec: { selector: { matchLabels: { app } } },
    status: { disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1, ...status },
  });
  const taking = (name: string, maxUnavailable: number) =>
    deployment(name, { strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable } } });
  const blocking = (budgets: readonly PodDisruptionBudget[], deployments: readonly Deployment[]): string[] =>
    surveyWorkloads(facts({ budgets, deployments }), "old").report.blockingBudgets.map(
      ({ name, reason }) => `${name} ${reason}`,
    );
  const ours = [budget("strict", "web"), budget("lax", "api", { disruptionsAllowed: 1 }), budget("others", "nobody")];
  assert.deepEqual(blocking(ours, [taking("web", 1), taking("api", 1)]), [
    "strict wants 1 of 1 pods, so it never allows an eviction",
  ]);
  assert.deepEqual(blocking(ours, [taking("web", 0), taking("api", 0)]), [], "the new pod is ready first");
  assert.deepEqual(blocking(ours, [deployment("web"), deployment("api")]), [], "25 % of one pod are none");
  assert.deepEqual(blocking([budget("short", "web", { currentHealthy: 0 })], [taking("web", 0)]), [
    "short has 0 healthy pods of the 1 that it wants",
  ]);
  const half = budget("half", "web", { disruptionsAllowed: 1, currentHealthy: 4, desiredHealthy: 3, expectedPods: 4 });
  assert.deepEqual(blocking([half], [taking("web", 2)]), ["half allows 1 of the 2 disruptions of an update"]);
});

test("the duration is estimated for each wave from the pods' start times, and unselected workloads are named", () => {
  const survey = surveyWorkloads(facts(), "old");
  const wave = {
    name: "first",
    namespaces: [],
    namespaceLabels: {},
    workloadLabels: { app: "web" },
    maxUnavailable: 1,
    soakSeconds: 30,
  };
  const order = waveOrder([wave], survey.injected, facts().namespaces);
  assert.deepEqual(
    order.left.map(({ name }) => name),
    ["api", "away", "pinned", "job", "bare"],
  );
  const counted = estimate({
    workloads: survey.report,
    injected: survey.injected,
    order,
    controlPlanePods: [],
    scope: { ztunnel: true, gateways: true, waypoints: true, namespaces: true },
    ztunnel: { by: "Pod", maxConcurrent: 1 },
    gatewayWeights: [100],
    waypointWeights: [100],
    soakSeconds: 0,
  });
  assert.deepEqual(
    counted.parts.map(({ what, seconds }) => [what, seconds]),
    [
      ["install", 10],
      ["probe matrix", 10],
      ["first", 4 + 5 + 30],
    ],
  );
  assert.equal(counted.seconds, 59);
});

test("the time to ready skips pods that restarted, and pods that lost their readiness for a while", () => {
  const pod = (readyAt: string, restartCount = 0): Pod => ({
    metadata: { name: "web", creationTimestamp: "2026-01-01T00:00:00Z" },
    status: {
      conditions: [{ type: "Ready", status: "True", lastTransitionTime: readyAt }],
      containerStatuses: [{ name: "web", restartCount }],
    } as NonNullable<Pod["status"]>,
  });
  const [slow, again, restarted] = [
    pod("2026-01-01T00:00:40Z"),
    pod("2026-01-01T00:12:23Z"),
    pod("2026-01-01T00:00:03Z", 1),
  ];
  assert.deepEqual(readySeconds([slow, again, restarted]), { seconds: 40, samples: 1 });
  assert.equal(readySeconds([again]).samples, 0);
});
