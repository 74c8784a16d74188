import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  istioGatewayKind,
  istioKinds,
  parseMeshConfig,
  serviceEntryKind,
  virtualServiceKind,
} from "../../api/istio/index.ts";
import { keyOf, type KindDefinition, type KubernetesObject } from "../../api/index.ts";
import { namespaceKind, podKind, serviceKind } from "../../api/kubernetes/index.ts";
import { silentLogger, systemClock, transientError } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { CollectionGraph, type WriteOptions } from "../../kube/index.ts";
import { MeshIngest } from "../ingest/index.ts";
import { createMeshInputs } from "../model/index.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { config, namespace, pod, service } from "../testing/model-fixture.ts";
import { runAnalysisController } from "./analysis-controller.ts";

/** Records the writes. Refuses the first one, as if somebody else had just written. */
class NotingKubeClient extends FakeKubeClient {
  readonly patches: unknown[] = [];
  #hasRefused = false;

  override async patchMerge<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    within: string | undefined,
    patch: unknown,
    options?: WriteOptions,
  ): Promise<Value> {
    if (kind.kind === "Lease") return await super.patchMerge(kind, name, within, patch, options);
    if (!this.#hasRefused) {
      this.#hasRefused = true;
      throw transientError("conflict", "somebody else was first");
    }
    this.patches.push({ kind: kind.kind, name, patch, options });
    return await super.patchMerge(kind, name, within, patch, options);
  }
}

interface Status {
  readonly validationMessages?: readonly { readonly type: { readonly code: string } }[];
  readonly conditions?: readonly object[];
}

const kube = new NotingKubeClient();
const stopped = new AbortController();
const inputs = createMeshInputs(new CollectionGraph());
const ingest = new MeshIngest({ client: kube, inputs, revision: "default", clock: systemClock, log: silentLogger });
const route = {
  gateways: ["missing-gw"],
  hosts: ["reviews"],
  http: [{ route: [{ destination: { host: "reviews" } }] }],
};
const condition = { type: "Reconciled", status: "True" };
const stale = { type: { name: "Gone", code: "IST0101" }, level: "ERROR" };

const statusOf = async (kind: KindDefinition, key: string): Promise<Status> => {
  const [within, name = ""] = key.split("/");
  return ((await kube.get(kind, name, within)) as { status?: Status } | undefined)?.status ?? {};
};
const codesOf = async (kind: KindDefinition, key: string): Promise<readonly string[] | undefined> =>
  (await statusOf(kind, key)).validationMessages?.map(({ type }) => type.code);
const putRoute = (name: string, labels: Record<string, string>, status?: object): void => {
  const object = config("VirtualService", name, route);
  kube.put(virtualServiceKind, {
    ...object,
    metadata: { ...object.metadata, labels },
    ...(status === undefined ? {} : { status }),
  });
};

kube.put(namespaceKind, namespace("shop"));
kube.put(namespaceKind, namespace("istio-system"));
kube.put(podKind, pod("istio-system/gw-1", "10.244.1.9", { labels: { istio: "ingressgateway" }, account: "gw" }));
kube.put(
  serviceKind,
  service("shop/reviews", "10.96.0.5", { app: "reviews" }, [
    { name: "http-monitoring", port: 15014, targetPort: 15014 },
  ]),
);
putRoute("shop/reviews", {}, { conditions: [condition] });
putRoute("shop/foreign", { "istio.io/rev": "blue" }, { validationMessages: [stale] });
kube.put(serviceEntryKind, {
  ...config("ServiceEntry", "shop/mended", {
    hosts: ["example.com"],
    ports: [{ number: 443, name: "https", protocol: "HTTPS" }],
    resolution: "DNS",
  }),
  status: { validationMessages: [stale], addresses: [{ value: "240.240.0.1", host: "example.com" }] },
} as never);
const running = [ingest.run(stopped.signal)];
await ingest.synced;
running.push(
  runAnalysisController(
    {
      client: kube,
      namespace: "istio-system",
      revision: "default",
      podName: "istiod-1",
      objectsOf: (kind) => ingest.informerOf(kind),
      includes: (name) => ingest.includesNamespace(name),
      meshConfig: () => parseMeshConfig({}).value,
      onMeshChange: (changed) => inputs.mesh.onChange(changed),
      maxDelayMs: 200,
      quietMs: 20,
      clock: systemClock,
      log: silentLogger,
    },
    stopped.signal,
  ),
);
after(async () => {
  stopped.abort();
  await Promise.all(running);
});

test("an object's status has its messages until the object is corrected, and keeps its other fields", async () => {
  await until(async () => (await codesOf(virtualServiceKind, "shop/reviews")) !== undefined);
  assert.deepEqual(await statusOf(virtualServiceKind, "shop/reviews"), {
    conditions: [condition],
    validationMessages: [
      {
        type: { name: "ReferencedResourceNotFound", code: "IST0101" },
        level: "ERROR",
        documentationUrl: "https://istio.io/v1.31/docs/reference/config/analysis/ist0101/",
      },
    ],
  });
  kube.put(
    istioGatewayKind,
    config("Gateway", "shop/missing-gw", {
      selector: { istio: "ingressgateway" },
      servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }],
    }),
  );
  await until(async () => (await codesOf(virtualServiceKind, "shop/reviews")) === undefined);
  assert.deepEqual(await statusOf(virtualServiceKind, "shop/reviews"), { conditions: [condition] });
});

test("messages of a former leader are removed, and those of another revision's objects stay", async () => {
  await until(async () => (await codesOf(serviceEntryKind, "shop/mended")) === undefined);
  assert.deepEqual(await statusOf(serviceEntryKind, "shop/mended"), {
    addresses: [{ value: "240.240.0.1", host: "example.com" }],
  });
  assert.deepEqual(await codesOf(virtualServiceKind, "shop/foreign"), ["IST0101"]);
});

test("an analysis with the same result as before writes nothing", async () => {
  await until(() => kube.patches.length >= 4);
  const versions = async (): Promise<readonly string[]> =>
    (await Promise.all(istioKinds.map(async (kind) => (await kube.list(kind)).items))).flatMap((items) =>
      items.map((object) => `${keyOf(object)} ${object.metadata.resourceVersion ?? ""}`),
    );
  const before = await versions();
  const written = kube.patches.length;
  kube.put(podKind, pod("shop/other", "10.244.1.10", { account: "other" }));
  await new Promise((resolve) => setTimeout(resolve, 600));
  assert.deepEqual(await versions(), before);
  assert.equal(kube.patches.length, written);
  assert.equal(written, 4, "two objects of a former state, the route again, and its new Gateway");
});
