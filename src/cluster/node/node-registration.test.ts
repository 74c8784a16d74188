import assert from "node:assert/strict";
import { test } from "node:test";
import type { Lease } from "../../api/kubernetes/index.ts";
import { silentLogger, systemClock } from "../../base/index.ts";
import { errorOfStatus, type KubeClient } from "../../kube/index.ts";
import { NodeRegistration } from "./node-registration.ts";

test("a node makes its lease, and renews it every ten seconds", async () => {
  const startMs = Date.parse("2026-01-01T00:00:00Z");
  let nowMs = startMs;
  const leases = new Map<string, Lease["spec"]>();
  const renewals: string[] = [];
  const write = (place: string, spec: Lease["spec"]): void => {
    leases.set(place, spec);
    renewals.push(spec?.renewTime ?? "");
  };
  const client = {
    get: async () => ({ status: { conditions: [{ type: "Ready", status: "True" }] } }),
    create: async (_kind: unknown, { metadata, spec }: Lease) =>
      write(`${metadata.namespace ?? ""}/${metadata.name ?? ""}`, spec),
    patchMerge: async (_kind: unknown, name: string, namespace: string, { spec }: Lease) => {
      const place = `${namespace}/${name}`;
      if (!leases.has(place)) throw errorOfStatus({ verb: "patch", object: place }, 404, "");
      write(place, spec);
    },
  } as unknown as KubeClient;
  const stop = new AbortController();
  const sleep = async (ms: number): Promise<void> => {
    nowMs += ms;
    if (renewals.length === 3 || nowMs - startMs > 60_000) stop.abort();
  };
  const registration = new NodeRegistration({
    client,
    name: "worker",
    role: "worker",
    address: "172.18.0.3",
    podCidr: "10.244.1.0/24",
    tainted: false,
    labels: {},
    kubeletPort: 10_250,
    version: "1.0.0",
    limitsNote: undefined,
    clock: { ...systemClock, nowMs: () => nowMs, steadyMs: () => nowMs - startMs, sleep },
    log: silentLogger,
  });
  await registration.keepAlive(stop.signal);
  assert.deepEqual(
    renewals,
    ["00", "10", "20"].map((second) => `2026-01-01T00:00:${second}.000000Z`),
  );
  assert.deepEqual(
    [...leases],
    [["kube-node-lease/worker", { holderIdentity: "worker", leaseDurationSeconds: 40, renewTime: renewals[2] }]],
  );
});
