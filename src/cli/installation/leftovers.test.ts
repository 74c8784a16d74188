import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import { createProgram } from "../program.ts";
import { FakeContext, type FakeCluster } from "../testing/fake-context.ts";

const namespace = "istio-system";

function installed(kind: string, name: string, metadata: Partial<UntypedObject["metadata"]> = {}): UntypedObject {
  return { kind, metadata: { name, namespace, ...metadata } };
}

const earlier: readonly UntypedObject[] = [
  installed("HorizontalPodAutoscaler", "istio-ingressgateway"),
  installed("Deployment", "istio-ingressgateway"),
  installed("Deployment", "istiod"),
  installed("Service", "istiod-revision-tag-default"),
  installed("MutatingWebhookConfiguration", "istio-revision-tag-prod", { labels: { "istio.io/tag": "prod" } }),
  installed("Deployment", "istio-egressgateway", { annotations: { "meta.helm.sh/release-name": "egress" } }),
];

async function serin(line: string, cluster: FakeCluster = {}): Promise<FakeContext> {
  const context = new FakeContext({ installed: earlier, ...cluster });
  await createProgram(context).parseAsync(line.split(" "), { from: "user" });
  return context;
}

const selection = (revision: string, owner: string): object => ({
  labelSelector: `operator.istio.io/component,istio.io/rev=${revision},install.operator.istio.io/owning-resource=${owner},!install.operator.istio.io/owning-resource-namespace`,
  revision,
});

test("an installation names what an earlier one of its revision wrote beyond it, and leaves it", async () => {
  for (const verb of ["install -y", "install --dry-run"]) {
    const { errors, removed } = await serin(`${verb} --set profile=minimal`);
    assert.equal(
      errors,
      '! An earlier installation of revision "default" also wrote Deployment istio-system/istio-ingressgateway, HorizontalPodAutoscaler istio-system/istio-ingressgateway. They are not part of this one, and stay. To remove them, run the same command with --prune\n',
    );
    assert.deepEqual(removed, [{ dryRun: true, selection: selection("default", "unknown") }]);
  }
  assert.equal((await serin("install -y --set profile=default")).errors, "");
});

test("--prune removes it, but no revision tag and no object of a helm release", async () => {
  const { output, errors, removed } = await serin("install -y --set profile=minimal --prune");
  assert.deepEqual(
    [errors, output.split("\n").filter((line) => line.startsWith("  Removed"))],
    [
      "",
      [
        "  Removed HorizontalPodAutoscaler istio-system/istio-ingressgateway",
        "  Removed Deployment istio-system/istio-ingressgateway",
      ],
    ],
  );
  const ofDefault = selection("default", "unknown");
  assert.deepEqual(removed, [{ dryRun: true, selection: ofDefault }, ofDefault]);
  const dry = await serin("install --dry-run --set profile=minimal --prune");
  assert.match(dry.output, /^ {2}Would remove Deployment istio-system\/istio-ingressgateway$/m);
  assert.deepEqual(dry.removed, [{ dryRun: true, selection: selection("default", "unknown") }]);
});

const left =
  "  Deployment istio-system/istio-ingressgateway\n  HorizontalPodAutoscaler istio-system/istio-ingressgateway\n";

test("--prune shows what it will remove before it asks or writes, and a No removes nothing", async () => {
  for (const [verb, text, otherwise] of [
    ["install", 'This will install the Istio 1.18.1 profile "minimal" into the cluster.', "nothing was installed"],
    ["upgrade", "Proxies of this control plane lose it while its pods are replaced.", "nothing was changed"],
  ] as const) {
    const objects = { Deployment: [{ metadata: { name: "istiod", namespace } }] };
    const context = new FakeContext({ installed: earlier, objects });
    const line = `${verb} --set profile=minimal --prune`;
    await assert.rejects(createProgram(context).parseAsync(line.split(" "), { from: "user" }), { message: otherwise });
    assert.deepEqual(context.asked, [`${text} This will also remove:\n${left}Proceed? (y/N) `]);
    assert.equal(context.removed.length, 1);
    const yes = new FakeContext({ installed: earlier, objects });
    await createProgram(yes).parseAsync([...line.split(" "), "-y", "--force"], { from: "user" });
    assert.match(yes.output, new RegExp(`This will also remove:\n${left}[^]*  Removed Deployment`));
  }
  const without = await serin("install --set profile=minimal", { confirms: true });
  assert.deepEqual(without.asked, [
    'This will install the Istio 1.18.1 profile "minimal" into the cluster. Proceed? (y/N) ',
  ]);
});

test("an installation is complete even if its leftovers cannot be listed, but --prune then writes nothing", async () => {
  const removalFault = new Error("connection reset");
  const { output, errors } = await serin("install -y --set profile=minimal", { removalFault });
  assert.match(output, /✔ Installation complete/);
  assert.match(errors, /also wrote Deployment istio-system\/istio-ingressgateway, /);
  assert.match(errors, /^! Not all objects of earlier installations could be listed: connection reset$/m);
  const context = new FakeContext({ installed: earlier, removalFault });
  const line = "install -y --set profile=minimal --prune".split(" ");
  await assert.rejects(createProgram(context).parseAsync(line, { from: "user" }), removalFault);
  assert.deepEqual([context.removed.length, context.output], [1, ""]);
});

const gatewayOf = (metadata: Partial<UntypedObject["metadata"]>): UntypedObject =>
  installed("Deployment", "istio-ingressgateway", metadata);
const writtenBy = (manager: string, time: string) => ({
  manager,
  time,
  fieldsV1: { "f:metadata": { "f:labels": { "f:istio.io/rev": {} } } },
});

test("nothing is left over while the revision has a control plane in another namespace, and --prune says so", async () => {
  for (const kind of ["Deployment", "Service"]) {
    const elsewhere = { name: "istiod", namespace: "team-a", labels: { app: "istiod", "istio.io/rev": "default" } };
    const objects = { [kind]: [{ metadata: elsewhere }] };
    const silent = await serin("install -y --set profile=minimal", { objects });
    assert.deepEqual([silent.errors, silent.removed], ["", []]);
    const { errors, removed } = await serin("install -y --set profile=minimal --prune", { objects });
    assert.equal(
      errors,
      '! --prune removes nothing: revision "default" also has a control plane in namespace team-a, and no label tells the objects of the two apart. Give one of the two a revision of its own\n',
    );
    assert.deepEqual(removed, []);
    const others = { [kind]: [{ metadata: { ...elsewhere, labels: { app: "istiod", "istio.io/rev": "other" } } }] };
    assert.match((await serin("install -y --set profile=minimal", { objects: others })).errors, /also wrote/);
  }
});

test("a gateway that a MeshUpgrade moved to the revision is no leftover, until an installation writes it again", async () => {
  const moved = [
    writtenBy("istio-operator", "2026-01-01T00:00:00Z"),
    writtenBy("serin-rollout", "2026-01-02T00:00:00Z"),
  ];
  const line = "install -y --set profile=minimal --prune";
  const serving = await serin(line, { installed: [gatewayOf({ managedFields: moved.slice(1) })] });
  assert.equal(serving.output, "✔ Installation complete\n");
  assert.equal((await serin(line, { installed: [gatewayOf({ managedFields: moved })] })).removed.length, 1);
  const managedFields = [...moved, writtenBy("istio-operator", "2026-01-03T00:00:00Z")];
  const { output } = await serin(line, { installed: [gatewayOf({ managedFields })] });
  assert.match(output, /^ {2}Removed Deployment istio-system\/istio-ingressgateway$/m);
});

test("an object whose label excludes it from pruning stays", async () => {
  const labels = { "install.operator.istio.io/owning-resource-not-pruned": "true" };
  const kept = await serin("install -y --set profile=minimal --prune", { installed: [gatewayOf({ labels })] });
  assert.equal(kept.output, "✔ Installation complete\n");
  assert.equal((await serin("install -y --set profile=minimal", { installed: [gatewayOf({ labels })] })).errors, "");
});

test("only objects from a file of the same name count, and none if the installation adds to another one", async () => {
  const file = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: { name: mesh }\nspec: {}\n";
  const { removed } = await serin("install -y -f mesh.yaml -r canary", { files: { "mesh.yaml": file } });
  assert.deepEqual(removed, [{ dryRun: true, selection: selection("canary", "mesh") }]);
  const part = await serin("install -y --set profile=empty --set components.base.enabled=true --prune");
  assert.deepEqual([part.removed, part.errors], [[], ""]);
});
