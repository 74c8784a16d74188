import assert from "node:assert/strict";
import { test } from "node:test";
import type { KindDefinition } from "../../../api/index.ts";
import type { Deployment, HorizontalPodAutoscaler } from "../../../api/kubernetes/index.ts";
import type { Canary, DeploymentTarget, JournalEntry, RolloutStatus } from "../../../api/serin/index.ts";
import { initialStatus } from "../../decide/index.ts";
import { reference, type DeploymentInWorld } from "../../plan/index.ts";
import { fakeView } from "../checks/testing/fake-mesh.ts";
import type { CanarySources } from "./canary-sources.ts";
import { deploymentInWorld } from "./deployment-in-world.ts";

const target = { name: "web", service: "web", routes: "VirtualService" } as DeploymentTarget;
const service = { name: "web", namespace: "shop", labels: {}, ports: [], selector: { app: "web" } };
const template = { metadata: { labels: { app: "web" } }, spec: { containers: [] } };
const at = "2026-01-01T00:00:00Z";
const pausedBy = (step: string, written?: true): JournalEntry => ({
  type: "field",
  step,
  object: reference("apps/v1", "Deployment", "web", "shop"),
  pointer: "/spec/paused",
  ...(written === undefined ? {} : { written }),
});

function isAutoscaler(object: Deployment | HorizontalPodAutoscaler): object is HorizontalPodAutoscaler {
  return object.kind === "HorizontalPodAutoscaler";
}

async function world(
  spec: object,
  status: Partial<RolloutStatus>,
  journal: readonly JournalEntry[] = [],
  rewritten?: object,
  others: readonly (Deployment | HorizontalPodAutoscaler)[] = [],
): Promise<DeploymentInWorld> {
  const selector = { matchLabels: { app: "web" } };
  const metadata = { name: "web", namespace: "shop", uid: "1" };
  const sources = {
    client: {
      get: async () => await Promise.resolve({ metadata, spec: { replicas: 2, selector, template, ...spec } }),
      list: async ({ kind }: KindDefinition) =>
        await Promise.resolve({ items: kind === "HorizontalPodAutoscaler" ? others.filter(isAutoscaler) : [] }),
    },
    view: fakeView(
      [],
      others.filter((other): other is Deployment => !isAutoscaler(other)),
    ),
    objects: { rewrittenTemplate: () => rewritten },
  } as unknown as CanarySources;
  const canary = {
    metadata: { name: "web", namespace: "shop" },
    spec: { target: { deployment: target }, steps: [], settleTimeoutSeconds: 300 },
    status: { ...initialStatus, ...status },
  } as unknown as Canary;
  return await deploymentInWorld(sources, canary, target, service, journal);
}

test("a workload of another kind, and a Deployment whose pods are never ready in time, are refused with a way out", async () => {
  const canary = { metadata: { namespace: "shop" }, spec: { settleTimeoutSeconds: 300 } } as unknown as Canary;
  const ofKind = (kind: "StatefulSet" | "DaemonSet" | undefined): CanarySources =>
    ({
      client: { get: async () => await Promise.resolve(undefined) },
      view: {
        statefulSets: { get: () => (kind === "StatefulSet" ? {} : undefined) },
        daemonSets: { get: () => (kind === "DaemonSet" ? {} : undefined) },
      },
    }) as unknown as CanarySources;
  for (const kind of ["StatefulSet", "DaemonSet"] as const)
    await assert.rejects(deploymentInWorld(ofKind(kind), canary, target, service, []), {
      message: `spec.target.deployment.name: shop/web is a ${kind}, and the engine holds and copies only Deployments; run the new version as another workload with its own Service, and move between the two by target.services`,
    });
  await assert.rejects(
    deploymentInWorld(ofKind(undefined), canary, target, service, []),
    /Deployment shop\/web does not exist/,
  );
  await assert.rejects(world({ minReadySeconds: 300 }, {}), {
    message:
      "spec.settleTimeoutSeconds: must be longer than minReadySeconds of Deployment shop/web (300 s), because its pods count as ready only then, got 300; raise it",
  });
  assert.equal((await world({ minReadySeconds: 60 }, {})).replicas, 2);
});

test("a Deployment that somebody scales to 0 in a run holds the Canary up, and says how to go on", async () => {
  const underWay = { phase: "Judging", run: 1, startedAt: at } as const;
  await assert.rejects(world({ replicas: 0 }, underWay), {
    message:
      "spec.target.deployment: Deployment shop/web was scaled to 0 replicas while this Canary moves it; scale it up, and the rollout continues",
  });
  assert.equal((await world({ replicas: 1 }, underWay)).replicas, 1);
  for (const rest of [{ phase: "Watching" }, { phase: "Completed", run: 1, startedAt: at }] as const)
    assert.equal((await world({ replicas: 0 }, rest)).replicas, 0);
});

test("a Deployment of somebody else that has the name of the copy is refused, and the copy is not", async () => {
  const copy = (labels: Readonly<Record<string, string>>): Deployment => ({
    metadata: { name: "web-canary", namespace: "shop", labels },
    spec: { replicas: 3, selector: {}, template: { spec: { containers: [] } } },
  });
  await assert.rejects(world({}, {}, [], undefined, [copy({ app: "web" })]), {
    message:
      "spec.target.deployment: Deployment shop/web-canary exists already, and this Canary makes an object of that name; rename it, or delete it if nothing needs it",
  });
  const made = await world({}, {}, [], undefined, [copy({ "rollout.serin.dev/copy": "canary" })]);
  assert.equal(made.copyReplicas, 3);
});

test("the copy is autoscaled if it has an autoscaler of its own, whether or not the Deployment has one", async () => {
  const labels = { "rollout.serin.dev/copy": "canary" };
  const copy = {
    metadata: { name: "web-canary", namespace: "shop", labels },
    spec: { replicas: 1 },
  } as unknown as Deployment;
  const autoscaler = (name: string): HorizontalPodAutoscaler => ({
    kind: "HorizontalPodAutoscaler",
    metadata: { name },
    spec: { scaleTargetRef: { kind: "Deployment", name }, maxReplicas: 7 },
  });
  const seen = async (...names: readonly string[]): Promise<unknown[]> => {
    const found = await world({}, {}, [], undefined, [copy, ...names.map(autoscaler)]);
    return [found.autoscaler?.metadata.name, found.copyIsAutoscaled, found.copyMaxReplicas];
  };
  assert.deepEqual(await seen("web"), ["web", false, undefined]);
  assert.deepEqual(await seen("web-canary"), [undefined, true, 7]);
  assert.deepEqual(await seen("web", "web-canary"), ["web", true, 7]);
});

test("a Deployment is resumed by somebody if the last write holds it, and the current step has not made that", async () => {
  const isResumed = async (spec: object, status: Partial<RolloutStatus>, journal: readonly JournalEntry[]) =>
    (await world(spec, status, journal)).isResumed === true;
  const held = [pausedBy("hold", true)];
  const during = { startedAt: at, step: { id: "hold", title: "", startedAt: at, checks: [] } };
  assert.equal(await isResumed({}, { phase: "Watching" }, held), true);
  assert.equal(await isResumed({ paused: true }, { phase: "Watching" }, held), false);
  assert.equal(await isResumed({}, { ...during, phase: "Progressing" }, held), false, "the step has not held it yet");
  assert.equal(await isResumed({}, { ...during, phase: "RolledBack" }, held), true, "the step was aborted");
  assert.equal(await isResumed({}, {}, [...held, pausedBy("promote-roll")]), false, "it rolls");
});

test("a template that a webhook changes at each write of the engine begins no run, and holds one up", async () => {
  const underWay = { phase: "Progressing", run: 1, startedAt: at } as const;
  const stamped = { metadata: { labels: { app: "web" }, annotations: { stamp: "2" } }, spec: { containers: [] } };
  const prior: JournalEntry = {
    type: "field",
    step: "copy",
    object: reference("apps/v1", "Deployment", "web", "shop"),
    pointer: "/spec/template",
    prior: template,
    written: stamped,
    adopted: true,
  };
  await assert.rejects(world({ template: stamped }, underWay, [prior], stamped), {
    message:
      "spec.target.deployment.name: an admission webhook changes the pod template of Deployment shop/web whenever the engine writes the Deployment, so no run could end; let the webhook (kubectl get mutatingwebhookconfigurations) leave the writes of serin-system/serin-rollout alone, undo the run (serin canary abort web -n shop), and change the template",
  });
  const { held, idle } = await world({ template: stamped }, { phase: "RolledBack" }, [prior], stamped);
  assert.match(held ?? "", /^a change waits, because an admission webhook changes the pod template .*, and change the/);
  assert.equal(idle, true);
  const other = await world({ template: stamped }, { phase: "RolledBack" }, [prior], template);
  assert.equal(other.held, undefined, "somebody has written another one since");
});
