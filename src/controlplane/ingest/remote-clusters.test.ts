import assert from "node:assert/strict";
import { after, test } from "node:test";
import { secretKind } from "../../api/kubernetes/index.ts";
import { silentLogger, systemClock } from "../../base/index.ts";
import { CollectionGraph, type KubeConfig } from "../../kube/index.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import { createMeshInputs } from "../model/mesh-inputs.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { RemoteClusters } from "./remote-clusters.ts";

/** The API server of another cluster. If it is `stuck`, it never answers a list. */
class RemoteServer extends FakeKubeClient {
  readonly server: string;
  closed = false;

  constructor(server: string) {
    super();
    this.server = server;
  }

  override async list(...args: Parameters<FakeKubeClient["list"]>): Promise<never> {
    if (this.server.includes("stuck")) await new Promise(() => undefined);
    return (await super.list(...args)) as never;
  }

  close(): void {
    this.closed = true;
  }
}

const stopped = new AbortController();
const running: Promise<void>[] = [];
after(() => stopped.abort());

async function untilTrue(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

function kubeconfig(server: string): string {
  const text = JSON.stringify({
    "current-context": "c",
    contexts: [{ name: "c", context: { cluster: "c" } }],
    clusters: [{ name: "c", cluster: { server } }],
  });
  return Buffer.from(text).toString("base64");
}

function clusters() {
  const client = new FakeKubeClient();
  const servers: RemoteServer[] = [];
  const connect = ({ server }: KubeConfig): RemoteServer => {
    const made = new RemoteServer(server);
    servers.push(made);
    return made;
  };
  const remotes = new RemoteClusters({
    client,
    namespace: "istio-system",
    clusterId: "own",
    inputs: createMeshInputs(new CollectionGraph()).remote,
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
  return { client, remotes, servers, put, serverOf };
}

test("when one of two secrets for a cluster is deleted or stops naming it, the other takes over", async () => {
  const { client, remotes, servers, put, serverOf } = clusters();
  put("one", { east: kubeconfig("https://one") });
  await untilTrue(() => remotes.states()[0]?.syncStatus === "synced");
  put("two", { east: kubeconfig("https://two") });
  put("three", { east: kubeconfig("https://three") });
  await client.delete(secretKind, "one", "istio-system");
  await untilTrue(
    () => remotes.states()[0]?.secretName !== "istio-system/one" && remotes.states()[0]?.syncStatus === "synced",
  );
  const heir = serverOf("east");
  assert.ok(heir === "https://two" || heir === "https://three");
  await untilTrue(() => servers[0]?.closed === true);
  put("two", {});
  await client.delete(secretKind, "three", "istio-system");
  await untilTrue(() => remotes.states().length === 0);
  assert.equal(serverOf("east"), undefined);
});

test("tokens are reviewed by a cluster's current kubeconfig, until a changed one has been read", async () => {
  const { remotes, servers, put, serverOf } = clusters();
  put("one", { east: kubeconfig("https://one") });
  await untilTrue(() => remotes.states()[0]?.syncStatus === "synced");
  put("one", { east: kubeconfig("https://stuck") });
  await untilTrue(() => servers.length === 2);
  assert.equal(serverOf("east"), "https://one");
  put("one", { east: kubeconfig("https://three") });
  await untilTrue(() => remotes.states()[0]?.syncStatus === "synced");
  assert.equal(serverOf("east"), "https://three");
});
