// Rollouts that go on while nodes are drained and container runtimes restart.
import { canaryObjects } from "../../../scripts/proofs/upgrade-proof/objects.ts";
import { appCanary } from "../../../scripts/proofs/upgrade-proof/app-canary.ts";
import { canaryKind, meshUpgradeKind } from "../../../src/api/serin/index.ts";
import { systemClock } from "../../../src/base/index.ts";
import { eventually } from "../../support/eventually.ts";
import type { Bench, Case } from "../bench.ts";
import { nodeName, nodeNumbers, type NodeNumber } from "../cluster-layout.ts";
import { root } from "../real-cluster.ts";
import { shop } from "./bookinfo.ts";
import { drain, everythingIsAvailable, withTwoOfEverything } from "./drain.ts";
import { loadLayout } from "./install.ts";
import { ended, ofOldRelease, upgradeEngine, upgradeObject } from "./mesh-upgrade.ts";

const canaryTimeoutMs = 600_000;
const runtimePauseMs = 3_000;

async function drainAndReturn(bench: Bench, number: NodeNumber): Promise<void> {
  const { cluster } = bench;
  await drain(bench, nodeName(number));
  await reportOfDoctor(bench);
  await cluster.kubectl("uncordon", nodeName(number));
  await everythingIsAvailable(cluster);
}

async function restartRuntimes({ cluster, load }: Bench, number: NodeNumber): Promise<void> {
  for (const program of ["kubelet", "containerd"] as const) {
    cluster.nodes[number].order({ program, signal: "SIGKILL", start: true });
    await systemClock.sleep(runtimePauseMs);
    await load.more(50);
  }
  await cluster.nodesReady();
}

interface Finding {
  readonly object: string;
  readonly level: string;
  readonly detail: string;
}

/** What the doctor finds. Throws if it does not finish. */
async function reportOfDoctor({ cluster, note }: Bench): Promise<readonly Finding[]> {
  const { output } = await cluster.run([`${root}/bin/serin`, "doctor", "--kubernetes", "--json"], {
    timeoutMs: 120_000,
  });
  const findings = JSON.parse(output.slice(output.indexOf("["))) as readonly Finding[];
  const wrong = findings.filter(({ level }) => level !== "ok");
  for (const { level, object, detail } of wrong) note(`doctor: ${level}: ${object}: ${detail}`);
  return wrong;
}

/**
 * Disturbs the nodes until `end` resolves. Returns the disturbances that have begun while the rollout was under way.
 * Throws if none of them was a drain or none a kill, because the rollout has then proved nothing.
 */
async function disturbUntil<Result>(bench: Bench, end: Promise<Result>): Promise<string[]> {
  const state = { isOver: false };
  const over = end.finally(() => {
    state.isOver = true;
  });
  // Whoever awaits `over` gets the error.
  over.catch(() => undefined);
  const begun: string[] = [];
  for (const number of nodeNumbers.toReversed())
    for (const [name, disturb] of [
      ["drain", drainAndReturn],
      ["runtimes", restartRuntimes],
    ] as const) {
      if (state.isOver) break;
      bench.note(`${name} of ${nodeName(number)}`);
      begun.push(`${name} ${nodeName(number)}`);
      await disturb(bench, number);
    }
  await over;
  for (const kind of ["drain", "runtimes"])
    if (!begun.some((name) => name.startsWith(kind))) throw new Error(`the rollout ended before any ${kind} began`);
  return begun;
}

/** A drain may cut off requests of the pods that it evicts, but nothing may be wrong when all are back. */
async function nothingIsWrong(bench: Bench): Promise<void> {
  await eventually(
    "the doctor finds no error",
    async () => (await reportOfDoctor(bench)).every(({ level }) => level !== "error"),
    120_000,
  );
}

export const disturbedCanaryCase: Case = {
  name: "canary-drain",
  title: "a Canary completes while nodes are drained and their kubelets and containerds are killed",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster } = bench;
    await cluster.api.apply(canaryObjects(), shop);
    await cluster.available(shop);
    let done: string[] = [];
    await withTwoOfEverything(bench, async () => {
      const checks = [{ type: "request-success-rate", minSamples: 60, timeoutSeconds: 300 }, { type: "pod-health" }];
      await cluster.api.apply([appCanary("through-drains", checks, [10, 25, 50, 75, 100])]);
      const end = eventually(
        "the Canary has ended",
        async () => {
          const { status } = (await cluster.api.client.get(canaryKind, "through-drains", shop)) ?? {};
          return ["Completed", "RolledBack", "Stuck"].includes(status?.phase ?? "") ? status : undefined;
        },
        canaryTimeoutMs,
      );
      done = await disturbUntil(bench, end);
      const { phase, cause, message } = await end;
      if (phase !== "Completed") throw new Error(`the Canary ended as ${phase}: ${cause ?? message}`);
      await cluster.serin("canary", "undo", "through-drains", "-n", shop);
      await eventually("the Canary is undone", async () => {
        const { status } = (await cluster.api.client.get(canaryKind, "through-drains", shop)) ?? {};
        return status?.phase === "RolledBack";
      });
    });
    await cluster.kubectl("delete", "-n", shop, "canary.rollout.serin.dev/through-drains");
    await nothingIsWrong(bench);
    return `completed through ${done.join(", ")}`;
  },
};

export const disturbedUpgradeCase: Case = {
  name: "upgrade-drain",
  title: "a MeshUpgrade completes and is undone while nodes are drained and their kubelets and containerds are killed",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster, load, next } = bench;
    await loadLayout(cluster, next.images);
    await upgradeEngine(bench);
    let undone: readonly string[] = [];
    let done: string[] = [];
    await withTwoOfEverything(bench, async () => {
      // New pods wait for a certificate while the only istiod of their revision moves to another node.
      const values = { pilot: { autoscaleMin: 2 } };
      await cluster.api.apply([upgradeObject("through-drains", "drained", next.version, values)]);
      done = await disturbUntil(bench, ended(bench, "through-drains", ["Completed"]));
      await eventually("no pod of the old release is left", async () => (await ofOldRelease(bench)).length === 0);
      await load.more(100);
      await cluster.serin("upgrade", "rollback", "through-drains");
      undone = await disturbUntil(bench, ended(bench, "through-drains", ["RolledBack"]));
    });
    await cluster.kubectl("delete", meshUpgradeKind.plural, "through-drains");
    await nothingIsWrong(bench);
    return `forward through ${done.join(", ")}, and back through ${undone.join(", ")}`;
  },
};
