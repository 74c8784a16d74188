import assert from "node:assert/strict";
import { test } from "node:test";
import { describeError, userError } from "../../base/index.ts";
import { createProgram } from "../program.ts";
import { FakeContext, type FakeCluster } from "../testing/fake-context.ts";

const namespace = (name: string, labels: Record<string, string> = {}) => ({ metadata: { name, labels } });
const waypoint = (name: string, labels: Record<string, string>, programmed: boolean) => ({
  metadata: { name, namespace: "shop", labels },
  spec: { gatewayClassName: "istio-waypoint" },
  status: {
    conditions: programmed
      ? [{ type: "Programmed", status: "True", reason: "Programmed", message: "Resource programmed" }]
      : [{ type: "Programmed", status: "False", reason: "Pending", message: "no pods" }],
  },
});
const cluster: FakeCluster = {
  objects: {
    Namespace: [
      namespace("shop", { "istio.io/dataplane-mode": "ambient" }),
      namespace("old", { "istio.io/use-waypoint": "other" }),
      namespace("plain"),
    ],
    Gateway: [
      waypoint("waypoint", { "istio.io/rev": "canary", "istio.io/waypoint-for": "all" }, true),
      waypoint("late", {}, false),
      { metadata: { name: "ingress", namespace: "shop" }, spec: { gatewayClassName: "istio" } } as never,
    ],
  },
};

async function serin(line: string, fakeCluster: FakeCluster = cluster): Promise<FakeContext> {
  const context = new FakeContext(fakeCluster);
  await createProgram(context).parseAsync(["waypoint", ...line.split(" ")]);
  return context;
}

async function refused(line: string, fakeCluster?: FakeCluster): Promise<string> {
  return await serin(line, fakeCluster).then(() => assert.fail("it was not refused"), describeError);
}

test("a waypoint is generated as istioctl writes it", async () => {
  assert.equal(
    (await serin("generate -n shop --for workload -r canary")).output,
    `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  labels:
    istio.io/rev: canary
    istio.io/waypoint-for: workload
  name: waypoint
  namespace: shop
spec:
  gatewayClassName: istio-waypoint
  listeners:
    - name: mesh
      port: 15008
      protocol: HBONE
`,
  );
  assert.equal(
    await refused("generate --for services"),
    '--for must be one of all, none, service, workload, got "services"',
  );
  assert.equal(await refused("generate --name none"), "invalid name provided for waypoint, 'none' is a reserved value");
});

test("a waypoint is applied and waited for, and the namespace is enrolled", async () => {
  const { output, applied } = await serin("apply -n shop --enroll-namespace --wait");
  assert.equal(
    output,
    '✅ waypoint shop/waypoint applied\n✅ waypoint shop/waypoint is ready!\n✅ namespace shop labeled with "istio.io/use-waypoint: waypoint"\n',
  );
  assert.deepEqual(applied, ["Gateway/waypoint", "patch Namespace/shop"]);
  assert.match(
    (await serin("apply -n plain --enroll-namespace")).output,
    /^⚠️ Warning: namespace is not enrolled in ambient\. Consider running\t`kubectl label namespace plain istio\.io\/dataplane-mode=ambient`\n✅ waypoint plain\/waypoint applied\n/,
  );
  const kept = await serin("apply -n old --enroll-namespace");
  assert.match(
    kept.output,
    /^⚠️ Warning: namespace \(old\) already has an enrolled Waypoint\. Consider adding the `--overwrite` flag to your apply command\.\n$/,
  );
  assert.deepEqual(kept.applied, []);
});

test("a waypoint that stays unready, and a missing namespace, are reported", async () => {
  assert.match(
    await refused("apply -n shop --name late --wait --waypoint-timeout 0ms"),
    /^timed out while waiting for waypoint\tshop\/late: Programmed is False \(no pods\)\n/,
  );
  const pods = { type: "ReplicaFailure", status: "True", message: 'pods "late-1" is forbidden: exceeded quota: small' };
  const withoutRoom: FakeCluster = {
    objects: {
      ...cluster.objects,
      Deployment: [{ metadata: { name: "late", namespace: "shop" }, status: { conditions: [pods] } } as never],
    },
  };
  assert.match(
    await refused("apply -n shop --name late --wait --waypoint-timeout 0ms", withoutRoom),
    /\(no pods\); Deployment shop\/late: pods "late-1" is forbidden: exceeded quota: small\n/,
  );
  assert.equal(
    await refused("apply -n nowhere"),
    "namespace: nowhere not found\n  hint: kubectl create namespace nowhere",
  );
});

test("without the Gateway API the error names the missing definitions", async () => {
  const missing: FakeCluster = {
    ...cluster,
    refusals: { Gateway: userError("not-found", "the server could not find the requested resource") },
  };
  assert.match(
    await refused("apply -n shop", missing),
    /^missing Kubernetes Gateway CRDs need to be installed before applying a waypoint\n/,
  );
  assert.match(await refused("list", missing), /^missing Kubernetes Gateway CRDs/);
});

test("waypoints are listed with their state", async () => {
  assert.equal(
    (await serin("list -n shop")).output,
    "NAME         REVISION     TRAFFIC TYPE     PROGRAMMED\nlate         default      none             False\nwaypoint     canary       all              True\n",
  );
  assert.equal(
    (await serin("status -n shop --no-wait")).output,
    "NAME         STATUS     TYPE           REASON         MESSAGE\nlate         False      Programmed     Pending        no pods\nwaypoint     True       Programmed     Programmed     Resource programmed\n",
  );
  assert.equal((await serin("list -n plain")).output, "No waypoints found.\n");
  assert.equal((await serin("list -n plain -o json")).output, "[]\n");
  assert.deepEqual((JSON.parse((await serin("list -n shop -o json")).output) as readonly unknown[])[1], {
    namespace: "shop",
    name: "waypoint",
    revision: "canary",
    trafficType: "all",
    programmed: "True",
  });
});

test("the status of all waypoints is shown, although some stay unready, and these are the error", async () => {
  const context = new FakeContext({
    objects: { Gateway: [...(cluster.objects?.["Gateway"] ?? []), waypoint("later", {}, false)] },
  });
  const run = createProgram(context).parseAsync(["waypoint", "status", "-n", "shop", "--waypoint-timeout", "0ms"]);
  await assert.rejects(run, /timed out while waiting for waypoint\tshop\/late: Programmed is False \(no pods\)/);
  assert.deepEqual(
    context.output.split("\n").map((line) => line.split(/ {2,}/).slice(0, 2).join(" ")),
    ["NAME STATUS", "late False", "later False", "waypoint True", ""],
  );
  assert.match(context.errors, /^! timed out while waiting for waypoint\tshop\/later: /);
});

test("waypoints are deleted by name, by revision, or all", async () => {
  const { output, applied } = await serin("delete waypoint gone -n shop");
  assert.equal(output, "waypoint shop/waypoint deleted\nwaypoint shop/gone not found\n");
  assert.deepEqual(applied, ["delete Gateway/waypoint"]);
  assert.equal(
    (await serin("delete -r canary -n shop --dry-run")).output,
    "waypoint shop/waypoint deleted (dry run)\n",
  );
  assert.equal(
    (await serin("delete --all -n shop")).output,
    "waypoint shop/late deleted\nwaypoint shop/waypoint deleted\n",
  );
  assert.equal(await refused("delete waypoint --all"), "cannot specify waypoint names when deleting all waypoints");
  assert.equal(
    await refused("delete"),
    "must specify a waypoint name or delete all using --all or delete specific revision using --revision\n  hint: serin waypoint list shows the waypoints of a namespace",
  );
});
