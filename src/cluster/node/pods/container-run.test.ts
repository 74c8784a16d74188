// Tests how a run is stopped, and how its hooks affect it. Tests with real programs need namespaces, and are in
// managed-container.netns.test.ts.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { Container } from "../../../api/kubernetes/index.ts";
import { HandClock, until } from "../../../base/testing/index.ts";
import type { ContainerLog } from "../containers/container-log.ts";
import type { ContainerProcess, ExitStatus } from "../containers/container-process.ts";
import { newRecord } from "./container-record.ts";
import { ContainerRun, type ContainerRunOptions } from "./container-run.ts";
import type { PodHost } from "./pod-host.ts";

// A run waits until its first process has a child, which is the container's program. Here, this process plays the first
// process.
const program = spawn("sleep", ["600"], { stdio: "ignore" });
after(() => void program.kill("SIGKILL"));

/** A fake process that ends when it is killed, or when the test ends it. */
class FakeProcess implements ContainerProcess {
  readonly identity = { pid: process.pid, startTicks: "0" };
  readonly signals: string[] = [];
  readonly #exit = Promise.withResolvers<ExitStatus>();
  readonly exited = this.#exit.promise;
  running = true;

  signal(name: NodeJS.Signals): void {
    this.signals.push(name);
  }

  kill(): void {
    this.signals.push("SIGKILL");
    this.end(137);
  }

  end(exitCode: number): void {
    this.running = false;
    this.#exit.resolve({ exitCode, lost: false });
  }
}

function begun(spec: Partial<Container> = {}, exec: ContainerRunOptions["exec"] = succeeds) {
  const clock = new HandClock();
  const process = new FakeProcess();
  const events: string[] = [];
  const ends: number[] = [];
  const run = new ContainerRun({
    spec: { name: "app", image: "app:1", ...spec },
    role: "main",
    record: newRecord("app", "ContainerCreating"),
    host: {
      clock,
      pod: () => ({ metadata: {}, spec: { containers: [], terminationGracePeriodSeconds: 20 } }),
      podIp: () => "10.0.0.1",
      save: () => void events.push("saved"),
      changed: () => undefined,
    } as unknown as PodHost,
    event: (_type, reason) => void events.push(reason),
    process,
    log: { end: () => undefined } as unknown as ContainerLog,
    output: undefined,
    rights: undefined as never,
    mount: undefined,
    surroundings: { environment: {}, workingDirectory: "/" },
    exec,
    onEnded: ({ exitCode }) => void ends.push(exitCode),
  });
  return { run, process, clock, events, ends };
}

const succeeds: ContainerRunOptions["exec"] = async () => await Promise.resolve({ exitCode: 0, output: "" });

test("a stop sends SIGTERM once, and SIGKILL when the grace period is over", async () => {
  const { run, process, clock, ends } = begun();
  const stops = [run.stop(10_000), run.stop(60_000)];
  await until(() => process.signals.length > 0);
  clock.pass(9_999);
  assert.deepEqual(process.signals, ["SIGTERM"]);
  clock.pass(1);
  assert.deepEqual(process.signals, ["SIGTERM", "SIGKILL"]);
  await Promise.all(stops);
  assert.deepEqual(ends, [137]);
  assert.equal(clock.timers, 0);
});

test("a program has two seconds after SIGTERM, even if the grace period is over", async () => {
  const { run, process, clock } = begun();
  const stop = run.stop(500);
  await until(() => process.signals.length > 0);
  clock.pass(500);
  clock.pass(1_499);
  assert.deepEqual(process.signals, ["SIGTERM"]);
  clock.pass(1);
  await stop;
  assert.deepEqual(process.signals, ["SIGTERM", "SIGKILL"]);
});

test("a stop that has begun can be shortened, and not lengthened", async () => {
  const { run, process, clock } = begun();
  const stop = run.stop(30_000);
  await until(() => process.signals.length > 0);
  run.shortenStop(60_000);
  run.shortenStop(5_000);
  clock.pass(5_000);
  await stop;
  assert.deepEqual(process.signals, ["SIGTERM", "SIGKILL"]);
});

test("a preStop hook runs once and before SIGTERM, and the end of the grace period does not wait for it", async () => {
  const hook = Promise.withResolvers<{ exitCode: number; output: string }>();
  let calls = 0;
  const { run, process, clock } = begun({ lifecycle: { preStop: { exec: { command: ["bye"] } } } }, async () => {
    calls += 1;
    return await hook.promise;
  });
  void run.prepareStop(10_000);
  const stop = run.stop(10_000);
  await setImmediate();
  assert.deepEqual([calls, process.signals], [1, []]);
  clock.pass(10_000);
  await until(() => process.signals.length > 0);
  assert.deepEqual(process.signals, ["SIGTERM"]);
  clock.pass(2_000);
  await stop;
});

test("until its postStart hook has succeeded, a container counts neither as started nor as ready", async () => {
  const hook = Promise.withResolvers<{ exitCode: number; output: string }>();
  const { run, events } = begun(
    { lifecycle: { postStart: { exec: { command: ["hello"] } } } },
    async () => await hook.promise,
  );
  const beginning = run.begin(new AbortController().signal);
  assert.deepEqual([run.started, run.ready, events], [false, false, ["saved"]]);
  hook.resolve({ exitCode: 0, output: "" });
  await beginning;
  assert.deepEqual([run.started, run.ready], [true, true]);
});

test("a container whose postStart hook fails is stopped, with the pod's grace period", async () => {
  const { run, process, clock, events } = begun(
    { lifecycle: { postStart: { exec: { command: ["hello"] } } } },
    async () => await Promise.resolve({ exitCode: 1, output: "no" }),
  );
  await run.begin(new AbortController().signal);
  await until(() => process.signals.length > 0);
  assert.deepEqual(events, ["saved", "FailedPostStartHook", "Killing", "saved"]);
  clock.pass(20_000);
  await run.exited;
  assert.deepEqual(process.signals, ["SIGTERM", "SIGKILL"]);
});

test("a run that has ended gets no signal, and refuses commands", async () => {
  const { run, process, ends } = begun();
  process.end(3);
  await run.exited;
  await run.stop(1_000);
  assert.deepEqual([ends, process.signals, run.running], [[3], [], false]);
  await assert.rejects(run.execContext(), /container not found \("app"\)/);
});
