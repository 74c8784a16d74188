import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { secretKind } from "../../api/kubernetes/index.ts";
import { defaultMultiClusterApi, serviceExportKind, serviceImportKind } from "../../api/multicluster/index.ts";
import { silentLogger, systemClock, userError } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { CollectionGraph, type KubeConfig } from "../../kube/index.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import { createMeshInputs } from "../model/mesh-inputs.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { multiClusterKinds } from "./multi-cluster-feeds.ts";
import { RemoteClusters } from "./remote-clusters.ts";

/** The API server of another cluster. If it is `stuck`, it never answers a list. */
class RemoteServer extends FakeKubeClient {
  readonly server: string;
  closed = false;
  forbidden = "";

  constructor(server: string) {
    super();
    this.server = server;
  }

  override async list(...args: Parameters<FakeKubeClient["list"]>): Promise<never> {
    if (this.server.includes("stuck")) await new Promise(() => undefined);
    if (args[0].plural === this.forbidden) throw userError("forbidden", "not for you");
    return (await super.list(...args)) as never;
  }

  close(): void {
    this.closed = true;
  }
}

const stopped = new AbortController();
const running: Promise<void>[] = [];
after(() => stopped.abort());

function kubeconfig(server: string): string {
  const text = JSON.stringify({
    "current-context": "c",
    contexts: [{ name: "c", context: { cluster: "c" } }],
    clusters: [{ name: "c", cluster: { server } }],
  });
  return Buffer.from(text).toString("base64");
}

function clusters(prepare: (server: RemoteServer) => void = () => undefined, kubeconfigFolder?: string) {
  const client = new FakeKubeClient();
  const servers: RemoteServer[] = [];
  const connect = ({ server }: KubeConfig): RemoteServer => {
    const made = new RemoteServer(server);
    prepare(made);
    servers.push(made);
    return made;
  };
  const { remote: inputs } = createMeshInputs(new CollectionGraph());
  const remotes = new RemoteClusters({
    client,
    namespace: "istio-system",
    clusterId: "own",
    kubeconfigFolder,
    inputs,
    multiClusterKinds: multiClusterKinds({
      api: defaultMultiClusterApi,
      discovery: true,
      host: true,
      autoExport: false,
    }),
    connect,
    timeoutMs: 0,
    insecureOptions: new Set(),
    metrics: new MetricsRegistry(),
    clock: systemClock,
    log: silentLogger,
  });
  running.push(remotes.run(stopped.signal));
  const put = (name: string, data: Record<string, string>): void =>
    void client.put(secretKind, {
      metadata: { name, namespace: "istio-system", labels: { "istio/multiCluster": "true" } },
      data,
    } as never);
  const serverOf = (id: string): string | undefined => (remotes.clientOf(id) as RemoteServer | undefined)?.server;
  return { client, inputs, remotes, servers, put, serverOf };
}

test("when one of two secrets for a cluster is deleted or stops naming it, the other takes over", async () => {
  const { client, remotes, servers, put, serverOf } = clusters();
  put("one", { east: kubeconfig("https://one") });
  await until(() => remotes.states()[0]?.syncStatus === "synced");
  put("two", { east: kubeconfig("https://two") });
  put("three", { east: kubeconfig("https://three") });
  await client.delete(secretKind, "one", "istio-system");
  await until(
    () => remotes.states()[0]?.secretName !== "istio-system/one" && remotes.states()[0]?.syncStatus === "synced",
  );
  const heir = serverOf("east");
  assert.ok(heir === "https://two" || heir === "https://three");
  await until(() => servers[0]?.closed === true);
  put("two", {});
  await client.delete(secretKind, "three", "istio-system");
  await until(() => remotes.states().length === 0);
  assert.equal(serverOf("east"), undefined);
});

test("all clusters are read if each that a kubeconfig names has been read, whatever the own one says", async () => {
  const { client, remotes, put } = clusters();
  put("own", { own: kubeconfig("https://own") });
  put("east", { east: kubeconfig("https://east") });
  await until(() => remotes.states()[0]?.syncStatus === "synced");
  assert.equal(remotes.areAllRead, true);
  put("broken", { north: Buffer.from("{}").toString("base64") });
  await until(() => !remotes.areAllRead);
  await client.delete(secretKind, "broken", "istio-system");
  await until(() => remotes.areAllRead);
  put("stuck", { west: kubeconfig("https://stuck") });
  await until(() => !remotes.areAllRead);
  await client.delete(secretKind, "stuck", "istio-system");
  await until(() => remotes.areAllRead);
});

test("tokens are reviewed by a cluster's current kubeconfig, until a changed one has been read", async () => {
  const { remotes, servers, put, serverOf } = clusters();
  put("one", { east: kubeconfig("https://one") });
  await until(() => remotes.states()[0]?.syncStatus === "synced");
  put("one", { east: kubeconfig("https://stuck") });
  await until(() => servers.length === 2);
  assert.equal(serverOf("east"), "https://one");
  put("one", { east: kubeconfig("https://three") });
  await until(() => remotes.states()[0]?.syncStatus === "synced");
  assert.equal(serverOf("east"), "https://three");
});

test("exports and imports of a remote cluster are read without invalid addresses, and are removed together with the cluster", async () => {
  const metadata = { name: "web", namespace: "shop" };
  const { client, inputs, remotes, put } = clusters((server) => {
    server.put(serviceExportKind(defaultMultiClusterApi), { metadata });
    const spec = { ips: ["242.0.0.1", "soon"] };
    server.put(serviceImportKind(defaultMultiClusterApi), { metadata, spec } as never);
  });
  put("one", { east: kubeconfig("https://one") });
  await until(() => remotes.states()[0]?.syncStatus === "synced");
  assert.deepEqual(inputs.serviceExports.get("east/shop/web"), { clusterId: "east", ...metadata, ownerUid: "" });
  assert.deepEqual(inputs.serviceImports.get("east/shop/web")?.addresses, ["242.0.0.1"]);
  await client.delete(secretKind, "one", "istio-system");
  await until(() => inputs.serviceExports.size + inputs.serviceImports.size === 0);
});

test("a cluster that forbids reading its exports is read too, as a cluster without exports", async () => {
  const { inputs, remotes, put } = clusters((server) => (server.forbidden = "serviceexports"));
  put("one", { east: kubeconfig("https://one") });
  await until(() => remotes.states()[0]?.syncStatus === "synced");
  assert.equal(inputs.serviceExports.size, 0);
});

test("a folder of kubeconfigs is read instead of secrets; its second file of a cluster takes over when the first leaves", async () => {
  const folder = mkdtempSync(join(tmpdir(), "remote-clusters-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const write = (name: string, server: string): void =>
    writeFileSync(join(folder, name), Buffer.from(kubeconfig(server), "base64"));
  write("a.yaml", "https://one");
  const { remotes, put, serverOf } = clusters(undefined, folder);
  put("one", { west: kubeconfig("https://other") });
  await until(() => remotes.states()[0]?.syncStatus === "synced");
  assert.deepEqual(remotes.states(), [{ id: "c", secretName: "a.yaml", syncStatus: "synced" }]);
  write("b.yaml", "https://two");
  rmSync(join(folder, "a.yaml"));
  await until(() => serverOf("c") === "https://two");
});
