import assert from "node:assert/strict";
import { test } from "node:test";
import type { Probe } from "../../../api/kubernetes/index.ts";
import { HandClock } from "../../../base/testing/index.ts";
import { ContainerProbes, type ContainerProbesOptions, type ProbeKind } from "./container-probes.ts";

interface Found {
  /** The times at which the probe ran. */
  readonly runsMs: readonly number[];
  /** Each change of the container's state, with its time. */
  readonly changes: readonly string[];
  /** The time at which the container became ready. Undefined if it did not. */
  readonly readyMs: number | undefined;
  readonly unhealthy: number;
  readonly failed: readonly string[];
}

type ProbeField = "startupProbe" | "readinessProbe" | "livenessProbe";

interface Application {
  /** Whether the container answers a run of the probe that begins at this time. */
  readonly answers: (atMs: number, run: number) => boolean;
  /**
   * How long the container takes to answer, in milliseconds. 0 if absent. If it takes longer than the probe's timeout,
   * the run fails.
   */
  readonly takesMs?: number;
}

interface ProbedOptions {
  readonly known?: ContainerProbesOptions["known"];
  /** The time at which the container begins to stop. */
  readonly stoppedMs?: number;
}

/** Runs the probes of a container until `endMs`. */
async function probed(
  probes: Readonly<Partial<Record<ProbeField, Probe>>>,
  { answers, takesMs = 0 }: Application,
  endMs: number,
  { known, stoppedMs = Number.POSITIVE_INFINITY }: ProbedOptions = {},
): Promise<Found> {
  const clock = new SleepingClock();
  const found = { runsMs: [] as number[], changes: [] as string[], unhealthy: 0, failed: [] as string[] };
  let readyMs: number | undefined;
  const running: ContainerProbes = new ContainerProbes({
    target: { podIp: "10.0.0.1", container: { name: "app", ...probes }, exec: () => Promise.reject(new Error()) },
    clock,
    known,
    onUnhealthy: () => (found.unhealthy += 1),
    onChange: () => {
      const { started, ready } = running;
      found.changes.push(`${clock.steadyMs()} ${started ? "started" : "starting"} ${ready ? "ready" : "unready"}`);
      if (ready) readyMs ??= clock.steadyMs();
    },
    onFailed: (kind: ProbeKind) => found.failed.push(`${clock.steadyMs()} ${kind}`),
    attempt: async ({ timeoutSeconds = 1 }) => {
      const atMs = clock.steadyMs();
      found.runsMs.push(atMs);
      if (atMs >= stoppedMs) running.watchReadinessAlone();
      if (atMs >= endMs) running.stop();
      await clock.sleep(Math.min(takesMs, timeoutSeconds * 1_000));
      const success = takesMs <= timeoutSeconds * 1_000 && answers(atMs, found.runsMs.length);
      return { success, message: "refused" };
    },
  });
  await running.run();
  return { ...found, readyMs };
}

/** A clock on which sleeping takes no real time. */
class SleepingClock extends HandClock {
  override async sleep(ms = 0): Promise<void> {
    await super.sleep();
    this.pass(ms);
  }
}

const from = (answersMs: number): Application => ({ answers: (atMs) => atMs >= answersMs });
const http = { httpGet: { path: "/ready", port: 80 }, periodSeconds: 1 };
const pauses = (runsMs: readonly number[]): number[] =>
  runsMs.slice(1).map((atMs, index) => atMs - (runsMs[index] ?? 0));

test("a container that becomes ready between two runs of its probe is found ready a fifth of a second later", async () => {
  for (const field of ["readinessProbe", "startupProbe"] as const)
    for (const answersMs of [0, 30, 450, 1_010, 3_333, 20_700]) {
      const { readyMs } = await probed({ [field]: { ...http, failureThreshold: 100 } }, from(answersMs), 30_000);
      assert.ok(
        readyMs !== undefined && readyMs >= answersMs && readyMs - answersMs <= 200,
        `${answersMs}: ${readyMs}`,
      );
    }
});

test("a container that becomes ready within a second is found ready an eighth of a second later", async () => {
  for (const answersMs of [181, 341, 541, 661, 781, 901]) {
    const { readyMs = Infinity } = await probed({ readinessProbe: http }, from(answersMs), 2_000);
    assert.ok(readyMs >= answersMs && readyMs - answersMs <= 125, `${answersMs}: ${readyMs}`);
  }
});

test("a probe's first success counts at once, despite a long period or an initial delay", async () => {
  for (const times of [{ periodSeconds: 15 }, { periodSeconds: 1, initialDelaySeconds: 20 }]) {
    const { readyMs } = await probed({ readinessProbe: { ...http, ...times } }, from(16_000), 40_000);
    assert.ok(readyMs !== undefined && readyMs <= 16_200, `${readyMs}`);
  }
});

test("failures of early runs do not count", async () => {
  const { failed, unhealthy } = await probed(
    { startupProbe: { ...http, failureThreshold: 3 } },
    from(Infinity),
    30_000,
  );
  assert.deepEqual(failed, ["3000 startup"]);
  assert.equal(unhealthy, 3);
});

test("failures count after the initial delay, if that is longer than the period", async () => {
  const startupProbe = { ...http, failureThreshold: 3, initialDelaySeconds: 5 };
  assert.deepEqual((await probed({ startupProbe }, from(Infinity), 30_000)).failed, ["7000 startup"]);
});

test("an early success counts, so a container that answers every other request has started and is ready", async () => {
  const flapping: Application = { answers: (_, run) => run % 2 === 0 };
  const probes = { startupProbe: { ...http, periodSeconds: 10, failureThreshold: 3 }, readinessProbe: http };
  const { changes, failed, unhealthy } = await probed(probes, flapping, 3_500);
  assert.deepEqual(changes.slice(0, 2), ["20 started unready", "40 started ready"]);
  assert.deepEqual(failed, []);
  assert.equal(unhealthy, 2, "the runs of the readiness probe after its success");
});

test("a container is ready after as many successes in a row as its probe demands, a period apart", async () => {
  const readinessProbe = { ...http, periodSeconds: 2, successThreshold: 3 };
  const { readyMs, runsMs } = await probed({ readinessProbe }, from(450), 8_000);
  assert.equal(
    runsMs.find((atMs) => atMs >= 450),
    540,
  );
  assert.equal(readyMs, 4_540);
});

test("after a success, a probe runs by its schedule alone", async () => {
  const { runsMs } = await probed({ readinessProbe: http }, from(450), 5_000);
  assert.deepEqual(pauses(runsMs.filter((atMs) => atMs >= 450)), [1_000, 1_000, 1_000, 1_000, 1_000]);
});

test("a container that does not become ready is probed by the schedule alone after a minute", async () => {
  const { runsMs } = await probed({ readinessProbe: { ...http, periodSeconds: 10 } }, from(Infinity), 120_000);
  assert.deepEqual(
    runsMs.filter((atMs) => atMs > 60_200),
    [70_000, 80_000, 90_000, 100_000, 110_000, 120_000],
  );
});

test("a command runs early only before its schedule begins", async () => {
  const readinessProbe = { exec: { command: ["ready"] }, periodSeconds: 2 };
  const { runsMs } = await probed({ readinessProbe }, from(3_100), 5_000);
  assert.deepEqual(
    runsMs.filter((atMs) => atMs >= 2_000),
    [2_000, 4_000, 6_000],
  );
});

test("an application that does not answer delays no run that counts", async () => {
  const startupProbe = { ...http, timeoutSeconds: 30, periodSeconds: 20, failureThreshold: 2 };
  const { failed } = await probed({ startupProbe }, { answers: () => false, takesMs: 100_000 }, 300_000);
  // Each failed run that counts takes its full 30 s: from 20 to 50 s, and from 70 to 100 s.
  assert.deepEqual(failed, ["100000 startup"]);
});

test("a container that was ready for an earlier process of the node is probed by its schedule", async () => {
  const { runsMs, changes } = await probed({ readinessProbe: http }, from(0), 2_500, {
    known: { started: true, ready: true },
  });
  assert.deepEqual(runsMs, [0, 1_000, 2_000, 3_000]);
  assert.deepEqual(changes, []);
});

test("a liveness probe has no early runs", async () => {
  const livenessProbe = { ...http, initialDelaySeconds: 3, failureThreshold: 2 };
  const { runsMs, failed } = await probed({ livenessProbe }, from(Infinity), 9_000);
  assert.deepEqual(runsMs, [3_000, 4_000]);
  assert.deepEqual(failed, ["4000 liveness"]);
});

test("a container that is being stopped can become unready, but its liveness probe no longer ends it", async () => {
  const answersUntil = (endMs: number): Application => ({ answers: (atMs) => atMs < endMs });
  const [probe, stop] = [{ ...http, failureThreshold: 2 }, { stoppedMs: 3_000 }];
  const alive = await probed({ livenessProbe: probe }, answersUntil(3_000), 9_000, stop);
  assert.deepEqual(alive.failed, []);
  assert.deepEqual((await probed({ livenessProbe: probe }, answersUntil(3_000), 9_000)).failed, ["4000 liveness"]);
  const ready = await probed({ readinessProbe: probe }, answersUntil(3_000), 9_000, stop);
  assert.deepEqual(ready.changes, ["0 started ready", "4000 started unready"]);
});
