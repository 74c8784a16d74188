import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import {
  deploymentKind,
  horizontalPodAutoscalerKind,
  nodeKind,
  podKind,
  type HorizontalPodAutoscaler,
  type Pod,
} from "../../../api/kubernetes/index.ts";
import { silentLogger, systemClock, systemRandom } from "../../../base/index.ts";
import { createKubeClient } from "../../../kube/index.ts";
import { ServerHarness } from "../../apiserver/testing/index.ts";
import { initialMemory, planReplicas, rememberChange, type AutoscalerMemory } from "./autoscaler-plan.ts";
import { proposeReplicas, type MeasuredPod, type ResourceMetric } from "./autoscaler-usage.ts";
import { addAutoscalerController } from "./autoscaler.ts";
import { ControllerContext } from "../controller.ts";

const nowMs = Date.parse("2026-01-01T12:00:00Z");

interface PodOptions {
  readonly ready?: boolean;
  readonly startTime?: string;
  readonly changed?: string;
  readonly phase?: "Pending" | "Running" | "Failed";
  readonly requests?: Record<string, string>;
}

function pod(name: string, options: PodOptions = {}): Pod {
  const { ready = true, startTime = "2026-01-01T10:00:00Z", phase = "Running", requests = { cpu: "200m" } } = options;
  const lastTransitionTime = options.changed ?? "2026-01-01T10:00:05Z";
  return {
    metadata: { name },
    spec: { containers: [{ name: "app", resources: { requests } }] },
    status: { phase, startTime, conditions: [{ type: "Ready", status: ready ? "True" : "False", lastTransitionTime }] },
  };
}

function measure(cpu: string, memory = "64Mi"): MeasuredPod {
  return { atMs: nowMs, windowMs: 15_000, containers: [{ name: "app", usage: { cpu, memory } }] };
}

const half: ResourceMetric = {
  type: "Resource",
  resource: "cpu",
  container: undefined,
  target: { type: "Utilization", averageUtilization: 50 },
};

function propose(pods: readonly Pod[], usage: Record<string, string>, metric = half, tolerance = 0.1) {
  const measured = new Map(Object.entries(usage).map(([name, cpu]) => [name, measure(cpu)]));
  return proposeReplicas(metric, {
    pods,
    measured,
    currentReplicas: pods.length,
    tolerance: { up: tolerance, down: tolerance },
    nowMs,
  });
}

test("utilization is relative to the requests, and replicas grow and shrink in proportion to it", () => {
  const up = propose([pod("a"), pod("b")], { a: "180m", b: "220m" });
  assert.equal(up.replicas, 4);
  assert.equal(up.name, "cpu resource utilization (percentage of request)");
  assert.deepEqual(up.status, {
    type: "Resource",
    resource: { name: "cpu", current: { averageUtilization: 100, averageValue: "200m" } },
  });
  assert.equal(propose([pod("a"), pod("b"), pod("c")], { a: "10m", b: "10m", c: "10m" }).replicas, 1);
});

test("a ratio within the tolerance changes nothing, and the tolerance can be set", () => {
  const pods = [pod("a"), pod("b")];
  assert.equal(propose(pods, { a: "110m", b: "110m" }).replicas, 2);
  assert.equal(propose(pods, { a: "110m", b: "110m" }, half, 0.05).replicas, 3);
});

test("an average value counts pods, not requests, and a container's usage only that container", () => {
  const metric: ResourceMetric = { ...half, target: { type: "AverageValue", averageValue: "100m" } };
  const { replicas, status, name } = propose([pod("a", { requests: {} })], { a: "250m" }, metric);
  assert.deepEqual([replicas, name], [3, "cpu resource"]);
  assert.deepEqual(status, { type: "Resource", resource: { name: "cpu", current: { averageValue: "250m" } } });
  const container: ResourceMetric = { ...half, type: "ContainerResource", container: "proxy" };
  assert.throws(() => propose([pod("a")], { a: "100m" }, container), {
    reason: "FailedGetContainerResourceMetric",
    message: /did not receive metrics/,
  });
});

test("pods without measurements are assumed to have the usage that makes the change smaller", () => {
  const three = [pod("a"), pod("b"), pod("c")];
  // Two pods use 20 %, and the unmeasured third counts with 100 % of its request: (20 + 20 + 100) / 3 = 46 %. This is
  // within the tolerance of the target, 50 %.
  assert.equal(propose(three, { a: "40m", b: "40m" }).replicas, 3);
  // Two pods use 100 %, and the unmeasured third counts with 0 %: the average is 66 %.
  assert.equal(propose(three, { a: "200m", b: "200m" }).replicas, 4);
  assert.equal(propose([pod("a"), pod("b"), pod("c", { phase: "Failed" })], { a: "200m", b: "200m" }).replicas, 4);
});

test("the processor time of a pod's start does not count", () => {
  const startTime = "2026-01-01T11:59:00Z";
  const starting = pod("new", { startTime, changed: "2026-01-01T11:59:55Z" });
  assert.equal(propose([pod("a"), starting], { a: "100m", new: "900m" }).replicas, 2);
  const settled = pod("new", { startTime, changed: "2026-01-01T11:59:30Z" });
  assert.equal(propose([pod("a"), settled], { a: "100m", new: "900m" }).replicas, 10);
  const fault = { reason: "FailedGetResourceMetric", message: /pods might be unready/ };
  assert.throws(() => propose([pod("new", { ready: false, startTime })], { new: "900m" }), fault);
});

test("utilization without a request names the container that lacks it", () => {
  assert.throws(() => propose([pod("a", { requests: {} })], { a: "1m" }), {
    reason: "FailedGetResourceMetric",
    message: "failed to get cpu utilization: missing request for cpu in container app of Pod a",
  });
});

type Spec = NonNullable<HorizontalPodAutoscaler["spec"]>;
const spec: Spec = {
  scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
  minReplicas: 1,
  maxReplicas: 10,
};

function reasons(plan: ReturnType<typeof planReplicas>): [number, ...string[]] {
  return [plan.replicas, ...plan.conditions.map(({ reason }) => reason)];
}

test("without stated behaviour, replicas at most double (or become four), and stay within the bounds", () => {
  const memory = initialMemory(1, nowMs);
  const plan = (current: number, recommended: number) =>
    reasons(planReplicas(spec, { current, recommended, memory, nowMs: nowMs + 400_000 }));
  assert.deepEqual(plan(1, 9), [4, "ReadyForNewScale", "ScaleUpLimit"]);
  assert.deepEqual(plan(3, 6), [6, "ReadyForNewScale", "DesiredWithinRange"]);
  assert.deepEqual(plan(8, 30), [10, "ReadyForNewScale", "TooManyReplicas"]);
  assert.deepEqual(plan(2, 0), [1, "ReadyForNewScale", "TooFewReplicas"]);
});

test("replicas go down only after five minutes without a higher recommendation", () => {
  let memory: AutoscalerMemory = initialMemory(4, nowMs);
  const look = (seconds: number, recommended: number) => {
    const plan = planReplicas(spec, { current: 4, recommended, memory, nowMs: nowMs + seconds * 1_000 });
    ({ memory } = plan);
    return reasons(plan);
  };
  const stays = [4, "ScaleDownStabilized", "DesiredWithinRange"];
  assert.deepEqual(look(15, 2), stays);
  assert.deepEqual(look(299, 2), stays);
  assert.deepEqual(look(300, 3), [3, "ReadyForNewScale", "DesiredWithinRange"]);
  assert.deepEqual(look(310, 1), [3, "ScaleDownStabilized", "DesiredWithinRange"]);
});

test("configured windows and policies limit each direction, over the changes in their periods", () => {
  const behavior = {
    scaleUp: { stabilizationWindowSeconds: 60, policies: [{ type: "Pods" as const, value: 2, periodSeconds: 60 }] },
    scaleDown: {
      stabilizationWindowSeconds: 0,
      selectPolicy: "Min" as const,
      policies: [
        { type: "Pods" as const, value: 3, periodSeconds: 60 },
        { type: "Percent" as const, value: 10, periodSeconds: 60 },
      ],
    },
  };
  const at = (seconds: number, current: number, recommended: number, memory: AutoscalerMemory) =>
    reasons(planReplicas({ ...spec, behavior }, { current, recommended, memory, nowMs: nowMs + seconds * 1_000 }));
  const fresh = initialMemory(4, nowMs);
  assert.deepEqual(at(30, 4, 9, fresh), [4, "ScaleUpStabilized", "DesiredWithinRange"]);
  assert.deepEqual(at(60, 4, 9, fresh), [6, "ReadyForNewScale", "ScaleUpLimit"]);
  const changed = rememberChange(fresh, 4, 6, nowMs + 60_000);
  assert.deepEqual(at(90, 6, 9, changed), [6, "ReadyForNewScale", "ScaleUpLimit"]);
  assert.deepEqual(at(120, 6, 9, changed), [8, "ReadyForNewScale", "ScaleUpLimit"]);
  assert.deepEqual(at(120, 10, 2, fresh), [9, "ReadyForNewScale", "ScaleDownLimit"]);
  const disabled = { ...spec, behavior: { scaleDown: { selectPolicy: "Disabled" as const } } };
  assert.deepEqual(
    reasons(planReplicas(disabled, { current: 4, recommended: 1, memory: fresh, nowMs: nowMs + 400_000 })),
    [4, "ReadyForNewScale", "ScaleDownLimit"],
  );
});

/**
 * Starts an API server with a Deployment of two pods that request 200 millicores each. Their node reports 300 for each.
 */
async function withBusyDeployment(
  run: (client: ReturnType<typeof createKubeClient>) => Promise<void>,
  followsMetrics: boolean,
): Promise<void> {
  const harness = await new ServerHarness().start();
  const pem = (path: string): string => readFileSync(path, "utf8");
  const ca = pem(harness.pki.caCertificate);
  const { certificate, key } = harness.pki.controllerManager;
  const client = createKubeClient(
    {
      server: `https://127.0.0.1:${harness.port}`,
      context: "test",
      namespace: "default",
      ca,
      clientCertificate: { certificate: pem(certificate), key: pem(key) },
    },
    { log: silentLogger, clock: systemClock },
  );
  const uids: string[] = [];
  const own = harness.pki.nodes["node-a"] ?? { certificate: "", key: "" };
  const node = createServer({ cert: pem(own.certificate), key: pem(own.key) }, (_request, response) => {
    const time = new Date().toISOString();
    const stats = { cpu: { time, windowMs: 15_000, usageNanoCores: 3e8 }, memory: { time, workingSetBytes: 1e6 } };
    response.end(
      JSON.stringify({ pods: uids.map((uid) => ({ podRef: { uid }, containers: [{ name: "app", ...stats }] })) }),
    );
  });
  await new Promise<void>((resolve) => void node.listen(0, "127.0.0.1", resolve));
  const status = {
    addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
    daemonEndpoints: { kubeletEndpoint: { Port: (node.address() as AddressInfo).port } },
  };
  await harness.call("POST", "/api/v1/nodes", { metadata: { name: "node-a" }, status });
  assert.ok((await client.get(nodeKind, "node-a")) !== undefined);
  await harness.call("POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } });
  const labels = { app: "web" };
  const template = { metadata: { labels }, spec: { containers: [{ name: "app", image: "web" }] } };
  await client.create(deploymentKind, {
    metadata: { name: "web", namespace: "default" },
    spec: { replicas: 2, selector: { matchLabels: labels }, template },
  });
  for (const name of ["a", "b"]) {
    const resources = { requests: { cpu: "200m" } };
    const made = await client.create(podKind, {
      metadata: { name, namespace: "default", labels },
      spec: { nodeName: "node-a", containers: [{ name: "app", image: "web", resources }] },
    });
    uids.push(made.metadata.uid ?? "");
    const { status: running } = pod(name);
    await client.patchMerge(podKind, name, "default", { status: running }, { subresource: "status" });
  }
  const context = new ControllerContext({ client, log: silentLogger, clock: systemClock, random: systemRandom });
  addAutoscalerController(context, { followsMetrics });
  const stop = new AbortController();
  const running = context.run(stop.signal);
  try {
    await run(client);
  } finally {
    stop.abort();
    await running;
    client.close();
    node.closeAllConnections();
    node.close();
    await harness.remove();
  }
}

async function observed(client: ReturnType<typeof createKubeClient>): Promise<HorizontalPodAutoscaler> {
  await client.create(horizontalPodAutoscalerKind, {
    metadata: { name: "web", namespace: "default" },
    spec: {
      ...spec,
      metrics: [
        { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 75 } } },
      ],
    },
  });
  for (let tries = 0; tries < 400; tries += 1) {
    const found = await client.get(horizontalPodAutoscalerKind, "web", "default");
    if (found?.status?.conditions !== undefined) return found;
    await systemClock.sleep(25);
  }
  return assert.fail("the autoscaler never got a status");
}

function conditionsOf({ status }: HorizontalPodAutoscaler): string[] {
  return (status?.conditions ?? []).map(({ type, status: is, reason }) => `${type}=${is} ${reason}`).sort();
}

test("an autoscaler scales its Deployment by the nodes' measurements, and its status shows that", async () => {
  await withBusyDeployment(async (client) => {
    const autoscaler = await observed(client);
    assert.equal((await client.get(deploymentKind, "web", "default"))?.spec?.replicas, 4);
    assert.deepEqual(conditionsOf(autoscaler), [
      "AbleToScale=True SucceededRescale",
      "ScalingActive=True ValidMetricFound",
      "ScalingLimited=False DesiredWithinRange",
    ]);
    const { currentReplicas, desiredReplicas, currentMetrics, lastScaleTime } = autoscaler.status ?? {};
    assert.deepEqual([currentReplicas, desiredReplicas], [2, 4]);
    assert.deepEqual(currentMetrics, [
      { type: "Resource", resource: { name: "cpu", current: { averageUtilization: 150, averageValue: "300m" } } },
    ]);
    assert.ok(lastScaleTime !== undefined);
  }, true);
});

test("in a lab without --autoscale, an autoscaler leaves its Deployment alone and its status says why", async () => {
  await withBusyDeployment(async (client) => {
    const autoscaler = await observed(client);
    assert.equal((await client.get(deploymentKind, "web", "default"))?.spec?.replicas, 2);
    assert.deepEqual(conditionsOf(autoscaler), [
      "AbleToScale=True SucceededGetScale",
      "ScalingActive=False FailedGetResourceMetric",
    ]);
    assert.match(autoscaler.status?.conditions?.map(({ message }) => message).join() ?? "", /--autoscale/);
  }, false);
});
