import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../../base/index.ts";
import type { PodProxy } from "../proxy/pod-proxy.ts";
import { PodManager } from "./pod-manager.ts";

interface FakePod {
  readonly close: () => void;
  readonly manager: PodManager;
}

/** A manager that drains, with one pod that still has a connection. */
async function drainingManager(): Promise<FakePod> {
  const closed = Promise.withResolvers<void>();
  const pod: Partial<PodProxy> = {
    uid: "a",
    state: "draining",
    closed: closed.promise,
    start: () => Promise.resolve(),
    drain: () => undefined,
  };
  const manager = new PodManager({ create: () => pod as PodProxy, log: silentLogger, terminationGraceMs: 0 });
  const info = { name: "a", namespace: "shop", serviceAccount: "a" };
  await manager.add({ uid: "a", info, namespaceFd: undefined, listeners: [] });
  manager.drainAll();
  return { close: closed.resolve, manager };
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

for (const end of ["its last connection", "its time"] as const)
  test(`a manager that drains is idle at the end of ${end}, and not before`, async () => {
    const { close, manager } = await drainingManager();
    const limit = Promise.withResolvers<void>();
    let isIdle = false;
    const idle = manager.idle(limit.promise).then(() => (isIdle = true));
    await turn();
    assert.equal(isIdle, false);
    (end === "its time" ? limit.resolve : close)();
    await idle;
  });
