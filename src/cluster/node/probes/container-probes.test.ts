import assert from "node:assert/strict";
import { test } from "node:test";
import type { Probe } from "../../../api/kubernetes/index.ts";
import { HandClock } from "../../../base/testing/index.ts";
import { ContainerProbes, type ProbeKind } from "./container-probes.ts";

interface Found {
  /** When the probe ran. */
  readonly runsMs: readonly number[];
  /** When the container became ready. Undefined if it did not. */
  readonly readyMs: number | undefined;
  readonly unhealthy: number;
  readonly failed: readonly ProbeKind[];
}

/** Runs a readiness or startup probe of a container that answers from a time on, until `endMs`. */
async function probed(kind: "startupProbe" | "readinessProbe", probe: Probe, answersMs: number, endMs: number) {
  const clock = new SleepingClock();
  const runsMs: number[] = [];
  const failed: ProbeKind[] = [];
  let unhealthy = 0;
  let readyMs: number | undefined;
  const probes: ContainerProbes = new ContainerProbes({
    target: { podIp: "10.0.0.1", container: { name: "app", [kind]: probe }, exec: () => Promise.reject(new Error()) },
    clock,
    onUnhealthy: () => (unhealthy += 1),
    onChange: () => {
      if (probes.ready) readyMs ??= clock.steadyMs();
    },
    onFailed: (which) => failed.push(which),
    attempt: () => {
      runsMs.push(clock.steadyMs());
      if (clock.steadyMs() >= endMs) probes.stop();
      return Promise.resolve({ success: clock.steadyMs() >= answersMs, message: "refused" });
    },
  });
  await probes.run();
  return { runsMs, readyMs, unhealthy, failed } satisfies Found;
}

/** A clock on which sleeping takes no real time. */
class SleepingClock extends HandClock {
  override async sleep(ms = 0): Promise<void> {
    await super.sleep();
    this.pass(ms);
  }
}

const http = { httpGet: { path: "/ready", port: 80 }, periodSeconds: 1 };

test("a container that becomes ready between two runs of its probe is found ready a fifth of a second later", async () => {
  for (const kind of ["readinessProbe", "startupProbe"] as const)
    for (const answersMs of [0, 30, 450, 1_010, 3_333, 20_700]) {
      const { readyMs } = await probed(kind, { ...http, failureThreshold: 100 }, answersMs, 30_000);
      assert.ok(
        readyMs !== undefined && readyMs >= answersMs && readyMs - answersMs <= 200,
        `${answersMs}: ${readyMs}`,
      );
    }
});

test("a slow period does not delay the first success", async () => {
  const { readyMs } = await probed("readinessProbe", { ...http, periodSeconds: 15 }, 16_000, 40_000);
  assert.ok(readyMs !== undefined && readyMs <= 16_200, `${readyMs}`);
});

test("early runs do not count as failures", async () => {
  const { failed, runsMs } = await probed("startupProbe", { ...http, failureThreshold: 3 }, Infinity, 30_000);
  assert.deepEqual(failed, ["startup"]);
  assert.equal(runsMs.at(-1), 3_000);
});

test("after a success, a probe runs by its schedule alone", async () => {
  const { runsMs } = await probed("readinessProbe", http, 450, 5_500);
  assert.deepEqual(
    runsMs.filter((atMs) => atMs > 1_000).map((atMs, index, all) => atMs - (all[index - 1] ?? atMs)),
    [0, 1_000, 1_000, 1_000, 1_000],
  );
});

test("a container that does not become ready is probed by the schedule alone after a minute", async () => {
  const { runsMs } = await probed("readinessProbe", { ...http, periodSeconds: 10 }, Infinity, 120_000);
  assert.deepEqual(
    runsMs.filter((atMs) => atMs > 60_200),
    [70_000, 80_000, 90_000, 100_000, 110_000, 120_000],
  );
});

test("a command runs early only before its schedule begins", async () => {
  const { runsMs } = await probed("readinessProbe", { exec: { command: ["ready"] }, periodSeconds: 2 }, 3_100, 5_000);
  assert.deepEqual(
    runsMs.filter((atMs) => atMs >= 2_000),
    [2_000, 4_000, 6_000],
  );
});
