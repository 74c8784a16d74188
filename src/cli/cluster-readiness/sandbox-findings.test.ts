import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../../api/index.ts";
import { userError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { sandboxFindings } from "./sandbox-findings.ts";

const classes = [
  { metadata: { name: "gvisor" }, handler: "runsc" },
  { metadata: { name: "kata-qemu" }, handler: "kata-qemu" },
  { metadata: { name: "nvidia" }, handler: "nvidia" },
];

function clusterOf(items: readonly object[] | number, pods: readonly object[] | Error): KubeClient {
  const raw = async (): Promise<object> =>
    await Promise.resolve(
      typeof items === "number"
        ? { status: items, headers: {}, text: "{}" }
        : { status: 200, headers: {}, text: JSON.stringify({ items }) },
    );
  const list = async (): Promise<object> => {
    if (pods instanceof Error) throw pods;
    return await Promise.resolve({ items: pods as KubernetesObject[], resourceVersion: "1" });
  };
  return { raw, list } as unknown as KubeClient;
}

const pod = (name: string, runtimeClassName: string | undefined, annotations: object, phase = "Running"): object => ({
  metadata: { name, namespace: "shop", annotations },
  spec: { containers: [], ...(runtimeClassName === undefined ? {} : { runtimeClassName }) },
  status: { phase },
});
const ambient = { "ambient.istio.io/redirection": "enabled" };
const sidecar = { "sidecar.istio.io/status": "{}" };

test("pods of the mesh in sandboxes with a network stack of their own are a warning for each RuntimeClass", async () => {
  const pods = [
    pod("web-1", "gvisor", ambient),
    pod("web-2", "gvisor", sidecar),
    pod("done", "gvisor", ambient, "Succeeded"),
    pod("outside", "gvisor", {}),
    pod("vm", "kata-qemu", ambient),
    pod("gpu", "nvidia", ambient),
    pod("usual", undefined, ambient),
  ];
  assert.deepEqual(
    (await sandboxFindings(clusterOf(classes, pods))).map(({ level, object, detail }) => [
      level,
      object,
      detail.slice(0, detail.indexOf(",")),
    ]),
    [
      ["warning", "RuntimeClass gvisor", "2 pods of the mesh"],
      ["warning", "RuntimeClass kata-qemu", "1 pod of the mesh"],
    ],
  );
});

test("a cluster without such sandboxes is not asked for its pods, and a forbidden list is named", async () => {
  const unasked = new Error("the pods were listed");
  assert.deepEqual(await sandboxFindings(clusterOf(classes.slice(2), unasked)), []);
  assert.deepEqual(await sandboxFindings(clusterOf(404, unasked)), []);
  assert.match((await sandboxFindings(clusterOf(403, [])))[0]?.remedy ?? "", /runtimeclasses\.node\.k8s\.io/);
  const forbidden = userError("forbidden", "bob may not list pods");
  assert.match((await sandboxFindings(clusterOf(classes, forbidden)))[0]?.detail ?? "", /bob may not list pods/);
});
