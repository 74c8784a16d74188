import assert from "node:assert/strict";
import { test } from "node:test";
import type { Lease, Node } from "../../api/kubernetes/index.ts";
import { silentLogger, systemClock, transientError } from "../../base/index.ts";
import { errorOfStatus, type KubeClient } from "../../kube/index.ts";
import { NodeRegistration, type NodeRegistrationOptions } from "./node-registration.ts";

const startMs = Date.parse("2026-01-01T00:00:00Z");
const lease = "kube-node-lease/worker";

/** A fake API server for the registration of a node, and a clock on which the node's sleeps end at once. */
class Registry {
  readonly leases = new Map<string, Lease["spec"]>();
  readonly renewals: string[] = [];
  /** The times of status writes, in seconds after the start. */
  readonly statusWrites: number[] = [];
  node: Node | undefined = undefined;
  /** The errors of the next requests, in order. */
  readonly faults: Error[] = [];
  readonly #stop = new AbortController();
  #nowMs = startMs;
  /** Called before each sleep of the node, with the time in seconds since the start. */
  beforeSleep: (second: number) => void = () => undefined;

  registration(more: Partial<NodeRegistrationOptions> = {}): NodeRegistration {
    return new NodeRegistration({
      client: this.#client(),
      name: "worker",
      role: "worker",
      address: "172.18.0.3",
      podCidr: "10.244.1.0/24",
      tainted: false,
      labels: {},
      kubeletPort: 10_250,
      version: "1.0.0",
      limitsNote: undefined,
      clock: {
        ...systemClock,
        nowMs: () => this.#nowMs,
        steadyMs: () => this.#nowMs - startMs,
        sleep: async (ms) => {
          this.beforeSleep(this.second);
          this.#nowMs += ms;
          assert.ok(this.second < 3_600, "the node does not come to an end");
          await Promise.resolve();
        },
      },
      log: silentLogger,
      ...more,
    });
  }

  get second(): number {
    return (this.#nowMs - startMs) / 1_000;
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  stop(): void {
    this.#stop.abort();
  }

  get ready(): string | undefined {
    return this.node?.status?.conditions?.find(({ type }) => type === "Ready")?.status;
  }

  /** Does what the node lifecycle controller does after a node has not renewed its lease: marks the node as Unknown. */
  markUnknown(): void {
    this.node = { ...this.node, status: { conditions: [{ type: "Ready", status: "Unknown" }] } } as Node;
  }

  #client(): KubeClient {
    const request = (): void => {
      const fault = this.faults.shift();
      if (fault !== undefined) throw fault;
    };
    const missing = (object: string): Error => errorOfStatus({ verb: "patch", object }, 404, "");
    const renew = (place: string, spec: Lease["spec"]): void => {
      this.leases.set(place, spec);
      this.renewals.push(spec?.renewTime ?? "");
    };
    const client: Pick<KubeClient, "get" | "create" | "patchMerge"> = {
      get: async () => {
        request();
        return this.node as never;
      },
      create: async (kind, object) => {
        request();
        const { metadata, spec }: Lease = object;
        const { name = "", namespace = "" } = metadata;
        if (kind.kind === "Lease") renew(`${namespace}/${name}`, spec);
        else if (this.node === undefined) this.node = object;
        else
          throw errorOfStatus(
            { verb: "create", object: name },
            409,
            JSON.stringify({ kind: "Status", reason: "AlreadyExists" }),
          );
        return object;
      },
      patchMerge: async (kind, name, namespace, patch) => {
        request();
        if (kind.kind === "Lease") {
          const place = `${namespace ?? ""}/${name}`;
          if (!this.leases.has(place)) throw missing(place);
          renew(place, (patch as Lease).spec);
        } else if (this.node === undefined) throw missing(name);
        else {
          this.statusWrites.push(this.second);
          this.node = { ...this.node, ...(patch as Pick<Node, "status">) };
        }
        return this.node as never;
      },
    };
    return client as KubeClient;
  }
}

test("a node makes its lease, and renews it every ten seconds", async () => {
  const registry = new Registry();
  registry.beforeSleep = (second) => {
    if (second >= 20) registry.stop();
  };
  const registration = registry.registration();
  await registration.register(registry.signal);
  registry.renewals.length = 0;
  registry.leases.clear();
  await registration.keepAlive(registry.signal);
  assert.deepEqual(
    registry.renewals,
    ["00", "10", "20"].map((second) => `2026-01-01T00:00:${second}.000000Z`),
  );
  assert.deepEqual(
    [...registry.leases],
    [[lease, { holderIdentity: "worker", leaseDurationSeconds: 40, renewTime: registry.renewals[2] }]],
  );
});

test("a node registers with its address, range and labels, and the control plane's node keeps other pods away", async () => {
  const registry = new Registry();
  await registry
    .registration({ role: "control-plane", tainted: true, labels: { zone: "a", "kubernetes.io/hostname": "own" } })
    .register(registry.signal);
  const { metadata, spec, status } = registry.node ?? assert.fail("it has not registered");
  assert.deepEqual(spec?.podCIDRs, ["10.244.1.0/24"]);
  assert.deepEqual(spec?.taints, [{ key: "node-role.kubernetes.io/control-plane", effect: "NoSchedule" }]);
  assert.equal(metadata.labels?.["node-role.kubernetes.io/control-plane"], "");
  assert.deepEqual([metadata.labels?.["zone"], metadata.labels?.["kubernetes.io/hostname"]], ["a", "own"]);
  assert.deepEqual(status?.addresses, [
    { type: "InternalIP", address: "172.18.0.3" },
    { type: "Hostname", address: "worker" },
  ]);
  assert.equal(registry.ready, "True");
});

test("a node that exists already becomes ready again, and keeps what others have written", async () => {
  const registry = new Registry();
  registry.node = { metadata: { name: "worker", labels: { by: "others" } }, spec: { unschedulable: true } };
  registry.markUnknown();
  await registry.registration().register(registry.signal);
  assert.equal(registry.ready, "True");
  assert.deepEqual([registry.node.metadata.labels, registry.node.spec], [{ by: "others" }, { unschedulable: true }]);
});

test("a node registers as soon as the API server answers", async () => {
  const registry = new Registry();
  registry.faults.push(transientError("unavailable", "not yet"), transientError("unavailable", "not yet"));
  await registry.registration().register(registry.signal);
  assert.equal(registry.ready, "True");
});

test("a node writes its status every minute, and at once if the controllers have marked it as Unknown", async () => {
  const registry = new Registry();
  const registration = registry.registration();
  await registration.register(registry.signal);
  registry.beforeSleep = (second) => {
    if (second === 40) registry.markUnknown();
    if (second >= 120) registry.stop();
  };
  await registration.keepAlive(registry.signal);
  assert.deepEqual(registry.statusWrites, [50, 110]);
  assert.equal(registry.ready, "True");
});

test("a heartbeat that fails is repeated at the next beat, and the node continues", async () => {
  const registry = new Registry();
  const registration = registry.registration();
  await registration.register(registry.signal);
  registry.renewals.length = 0;
  registry.faults.push(transientError("unavailable", "the API server restarts"));
  registry.beforeSleep = (second) => {
    if (second >= 10) registry.stop();
  };
  await registration.keepAlive(registry.signal);
  assert.deepEqual(registry.renewals, ["2026-01-01T00:00:10.000000Z"]);
});
