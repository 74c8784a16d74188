import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type JsonObject } from "@bufbuild/protobuf";
import { workloadEntryKind, workloadGroupKind, type WorkloadEntry, type WorkloadGroup } from "../../api/istio/index.ts";
import { podKind } from "../../api/kubernetes/index.ts";
import { silentLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { createInformer } from "../../kube/index.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import { NodeSchema } from "../../wire/discovery/index.ts";
import { readProxyIdentity } from "../serve/proxy-identity.ts";
import type { ProxyIdentity } from "../serve/index.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { WorkloadRegistration } from "./workload-registration.ts";

function proxy(metadata: JsonObject = {}): ProxyIdentity {
  const node = create(NodeSchema, {
    id: "sidecar~10.9.0.7~vm-1.shop~shop.svc.cluster.local",
    locality: { region: "r1", zone: "z1" },
    metadata: {
      NAMESPACE: "shop",
      SERVICE_ACCOUNT: "vm",
      AUTO_REGISTER_GROUP: "vms",
      NETWORK: "n1",
      LABELS: { app: "vm", "istio-locality": "r1.z1" },
      ...metadata,
    },
  });
  return { ...readProxyIdentity(node), verified: true };
}

const group = {
  metadata: { name: "vms", namespace: "shop" },
  spec: {
    metadata: { labels: { app: "group", tier: "one" }, annotations: { note: "x" } },
    template: { serviceAccount: "vm", ports: { http: 8080 }, labels: { tier: "template" } },
  },
} as unknown as WorkloadGroup;

async function registering(
  graceMs: number,
  body: (world: {
    client: FakeKubeClient;
    registration: WorkloadRegistration;
    entryWhere: (
      holds: (entry: WorkloadEntry | undefined) => boolean,
      name?: string,
    ) => Promise<WorkloadEntry | undefined>;
  }) => Promise<void>,
): Promise<void> {
  const client = new FakeKubeClient();
  client.put(workloadGroupKind, group);
  const ended = new AbortController();
  const [clock, log] = [systemClock, silentLogger];
  const entries = createInformer(client, workloadEntryKind, { log, clock });
  const registration = new WorkloadRegistration({
    client,
    entries,
    instance: "istiod-1",
    instanceNamespace: "istio-system",
    clusterId: "c1",
    graceMs,
    metrics: new MetricsRegistry(),
    clock,
    log,
  });
  const work = Promise.all([entries.run(ended.signal), registration.run(ended.signal)]);
  await registration.synced;
  const entryWhere = async (
    holds: (entry: WorkloadEntry | undefined) => boolean,
    name = "vms-10.9.0.7-n1",
  ): Promise<WorkloadEntry | undefined> => {
    const [entry] = await until(async () => {
      const found = await client.get(workloadEntryKind, name, "shop");
      return holds(found) ? [found] : undefined;
    });
    return entry;
  };
  try {
    await body({ client, registration, entryWhere });
  } finally {
    ended.abort();
    await work;
  }
}

test("a proxy's entry is created from its group, marked while connected, and deleted some time after it disconnects", async () => {
  await registering(20, async ({ registration, entryWhere }) => {
    registration.connected(proxy());
    const made = await entryWhere((entry) => entry !== undefined);
    assert.deepEqual(made?.spec, {
      serviceAccount: "vm",
      ports: { http: 8080 },
      address: "10.9.0.7",
      network: "n1",
      locality: "r1/z1",
      labels: { app: "vm", tier: "one" },
    });
    assert.deepEqual(
      made.metadata.ownerReferences?.map(({ kind, name, controller }) => [kind, name, controller]),
      [["WorkloadGroup", "vms", true]],
    );
    const annotations = made.metadata.annotations ?? {};
    assert.deepEqual(
      [annotations["istio.io/autoRegistrationGroup"], annotations["istio.io/workloadController"], annotations["note"]],
      ["vms", "istiod-1", "x"],
    );
    assert.ok(annotations["istio.io/connectedAt"]);
    registration.disconnected(proxy());
    await entryWhere((entry) => entry === undefined);
  });
});

test("an entry whose proxy reconnects stays and is marked anew", async () => {
  await registering(60_000, async ({ registration, entryWhere }) => {
    registration.connected(proxy());
    const first = (await entryWhere((entry) => entry !== undefined))?.metadata.annotations?.["istio.io/connectedAt"];
    await systemClock.sleep(3);
    registration.disconnected(proxy());
    await entryWhere((entry) => entry?.metadata.annotations?.["istio.io/disconnectedAt"] !== undefined);
    registration.connected(proxy());
    const back = await entryWhere((entry) => entry?.metadata.annotations?.["istio.io/connectedAt"] !== undefined);
    assert.notEqual(back?.metadata.annotations?.["istio.io/connectedAt"], first);
    assert.equal(back?.metadata.annotations?.["istio.io/disconnectedAt"], undefined);
  });
});

test("probe results become a condition of entries that are probed", async () => {
  await registering(60_000, async ({ registration, entryWhere }) => {
    const probed = proxy({ PROXY_CONFIG: { readinessProbe: { tcpSocket: { port: 80 } } } });
    registration.connected(probed);
    registration.probed(probed, { healthy: false, message: "refused" });
    const healthy = (entry: WorkloadEntry | undefined) =>
      entry?.status?.conditions?.find(({ type }) => type === "Healthy");
    assert.equal(healthy(await entryWhere((entry) => healthy(entry) !== undefined))?.message, "refused");
    registration.probed(probed, { healthy: true, message: "" });
    await entryWhere((entry) => healthy(entry)?.status === "True");
  });
});

test("registration without proof, for another account, or with a missing group or entry is refused", async () => {
  await registering(60_000, async ({ client, registration }) => {
    assert.throws(() => registration.connected({ ...proxy(), verified: false }), /may not use .*identify/);
    assert.throws(() => registration.connected(proxy({ SERVICE_ACCOUNT: "other" })), /the entry is for vm/);
    assert.throws(
      () => registration.connected(proxy({ AUTO_REGISTER_GROUP: "none" })),
      /WorkloadGroup shop\/none, which does not exist/,
    );
    assert.throws(
      () => registration.connected(proxy({ AUTO_REGISTER_GROUP: "", WORKLOAD_ENTRY: "own" })),
      /WorkloadEntry shop\/own, which does not exist/,
    );
    assert.equal((await client.list(workloadEntryKind)).items.length, 0);
  });
});

test("entries that a killed replica or a former process left behind are deleted; those of running or invisible replicas stay", async () => {
  await registering(10, async ({ client, registration, entryWhere }) => {
    for (const name of ["istiod-1", "istiod-2"])
      client.put(podKind, { metadata: { name, namespace: "istio-system" }, status: { phase: "Running" } } as never);
    client.put(podKind, {
      metadata: { name: "istiod-evicted", namespace: "istio-system" },
      status: { phase: "Failed" },
    } as never);
    const entry = (name: string, replica: string, home: string | undefined = `c1/istio-system/${replica}`): void => {
      const annotations = {
        "istio.io/autoRegistrationGroup": "vms",
        "istio.io/workloadController": replica,
        ...(home === "" ? {} : { "serin.dev/workload-controller-pod": home }),
        "istio.io/connectedAt": "2026-01-01T00:00:00.000Z",
      };
      client.put(workloadEntryKind, {
        metadata: { name, namespace: "shop", annotations },
        spec: { address: "10.9.0.8" },
      } as unknown as WorkloadEntry);
    };
    const unseen = {
      "of-elsewhere": "c1/other/istiod-8",
      "of-abroad": "c2/istio-system/istiod-8",
      "of-upstream": "",
      "taken-over": "c1/istio-system/istiod-9",
    };
    for (const [name, home] of Object.entries(unseen)) entry(name, "istiod-8", home);
    for (const [name, replica] of [
      ["of-killed", "istiod-9"],
      ["of-evicted", "istiod-evicted"],
      ["of-former", "istiod-1"],
      ["of-other", "istiod-2"],
    ] as const)
      entry(name, replica);
    registration.connected(proxy());
    for (const name of ["of-killed", "of-evicted", "of-former"]) await entryWhere((found) => found === undefined, name);
    // The sweep visits these entries before that of the killed replica, or in its next round. It leaves them connected.
    for (const name of ["of-other", ...Object.keys(unseen)])
      await entryWhere((found) => found?.metadata.annotations?.["istio.io/connectedAt"] !== undefined, name);
    const own = await entryWhere((found) => found !== undefined);
    assert.equal(own?.metadata.annotations?.["serin.dev/workload-controller-pod"], "c1/istio-system/istiod-1");
  });
});

test("the entry of a connected proxy is restored when it is deleted or marked as gone", async () => {
  await registering(60_000, async ({ client, registration, entryWhere }) => {
    registration.connected(proxy());
    const made = await entryWhere((entry) => entry !== undefined);
    const { "istio.io/connectedAt": _, ...annotations } = made?.metadata.annotations ?? {};
    client.put(workloadEntryKind, {
      ...made,
      metadata: {
        ...made?.metadata,
        annotations: { ...annotations, "istio.io/disconnectedAt": "2036-01-01T00:00:00.000Z" },
      },
    });
    await entryWhere(
      (entry) =>
        entry?.metadata.annotations?.["istio.io/connectedAt"] !== undefined &&
        entry.metadata.annotations["istio.io/disconnectedAt"] === undefined,
    );
    await client.delete(workloadEntryKind, "vms-10.9.0.7-n1", "shop");
    await entryWhere((entry) => entry !== undefined);
  });
});
