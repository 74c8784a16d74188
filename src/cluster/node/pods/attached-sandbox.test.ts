import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import type { Pod } from "../../../api/kubernetes/index.ts";
import { transientError } from "../../../base/index.ts";
import { startTicksOf, type ProcessIdentity } from "../containers/container-process.ts";
import { AttachedSandbox, type SandboxServices } from "./attached-sandbox.ts";
import type { PodRecord } from "./pod-record.ts";

const pod: Pod = { metadata: { name: "web", namespace: "shop", uid: "uid" }, spec: { containers: [] } };

interface Node {
  readonly sandbox: AttachedSandbox;
  /** In order, the calls to the node's addresses and plugins, and the debug lines of the log. */
  readonly calls: readonly string[];
}

function nodeWith(remove: () => Promise<void> = () => Promise.resolve()): Node {
  const calls: string[] = [];
  const services = {
    log: { debug: (message: string) => void calls.push(message) },
    addresses: {
      adopt: ({ ip }: { ip: string }) => void calls.push(`adopt ${ip}`),
      release: ({ ip }: { ip: string }) => void calls.push(`release ${ip}`),
    },
    attachment: {
      installed: true,
      remove: async ({ ip }: { ip: string }) => {
        calls.push(`remove ${ip}`);
        await remove();
      },
    },
  } as unknown as SandboxServices;
  const owner = { pod: () => pod, event: () => undefined, save: () => undefined };
  return { sandbox: new AttachedSandbox(services, owner), calls };
}

function recordOf(init: ProcessIdentity): PodRecord {
  return {
    uid: "uid",
    namespace: "shop",
    name: "web",
    startTime: "2026-01-01T00:00:00Z",
    init,
    address: { ip: "10.0.0.5", serial: 1 },
    attached: true,
    containers: [],
  };
}

test("the address of a sandbox that ended while no node process ran is given back", async () => {
  const { sandbox, calls } = nodeWith();
  sandbox.adopt(recordOf({ pid: process.pid, startTicks: "another process" }));
  assert.equal(sandbox.sandbox, undefined);
  await sandbox.detach();
  sandbox.dismantle();
  assert.deepEqual(calls, ["adopt 10.0.0.5", "release 10.0.0.5"]);
});

test("a sandbox is dismantled even if a plugin cannot remove it from the network, and once only", async () => {
  const init = spawn("sleep", ["60"], { stdio: "ignore" });
  const ended = new Promise((resolve) => init.once("exit", (_code, signal) => resolve(signal)));
  const { sandbox, calls } = nodeWith(() => Promise.reject(transientError("cni-failed", "no process answers")));
  const pid = init.pid ?? 0;
  sandbox.adopt(recordOf({ pid, startTicks: startTicksOf(pid) ?? "" }));
  assert.equal(sandbox.sandbox?.init.pid, pid);
  await sandbox.detach();
  sandbox.dismantle();
  sandbox.dismantle();
  assert.equal(await ended, "SIGKILL");
  assert.deepEqual(calls, [
    "adopt 10.0.0.5",
    "remove 10.0.0.5",
    "the network agent could not remove a pod",
    "release 10.0.0.5",
  ]);
});
