import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { Container } from "../../../api/kubernetes/index.ts";
import { systemClock, type Clock } from "../../../base/index.ts";
import { HandClock, until } from "../../../base/testing/index.ts";
import type { EventNote } from "../../../kube/index.ts";
import { requireOwnNetwork } from "../../../net/testing/index.ts";
import { readLogText } from "../containers/container-log.ts";
import { programPidOf, spawnContainer } from "../containers/container-process.ts";
import { buildTestRoot } from "../containers/testing/test-root.ts";
import { type ContainerRecord, newRecord } from "./container-record.ts";
import { ManagedContainer } from "./managed-container.ts";
import type { PodHost } from "./pod-host.ts";

requireOwnNetwork();

const spec: Container = { name: "app", image: "app" };
const graceMs = 30_000;

/** A program that logs each SIGTERM, and ends only at SIGUSR1. */
const loggingScript = `
trap 'echo stop' TERM
trap 'ended=yes' USR1
echo ready
while [ -z "$ended" ]; do sleep 0.05; done
echo end
exit 4`;
const everything = {
  follow: false,
  timestamps: false,
  tailLines: undefined,
  sinceMs: undefined,
  limitBytes: undefined,
};

interface Given {
  readonly clock: Clock;
  readonly lifecycle: NonNullable<Container["lifecycle"]>;
}

interface StartedContainer {
  /** The record of the running container, as the first process of the node has stored it. */
  readonly record: ContainerRecord;
  /**
   * Adopts the container, as a restarted process of the node would with this record. Appends each record that it saves
   * to `saved`.
   */
  adoptedBy(record: ContainerRecord, saved?: ContainerRecord[], given?: Partial<Given>): ManagedContainer;
  log(): string;
  end(): void;
}

function startContainer(script = loggingScript): StartedContainer {
  const memory = mkdtempSync(join(tmpdir(), "managed-container-"));
  const directory = join(memory, "containers", spec.name);
  const logs = join(memory, "logs");
  mkdirSync(directory, { recursive: true });
  mkdirSync(join(logs, spec.name), { recursive: true });
  const mount = buildTestRoot();
  const { process } = spawnContainer({
    namespaces: { mount },
    hostPid: false,
    directory,
    stdin: false,
    terminal: undefined,
    command: {
      argv: ["/bin/sh", "-c", script],
      environment: { PATH: "/usr/bin:/bin" },
      workingDirectory: "/",
      rights: { privileged: false, capabilities: [], user: 0, group: 0, noNewPrivileges: false },
    },
  });
  const record = newRecord(spec.name, "ContainerCreating");
  record.identity = process.identity;
  record.state = { running: { startedAt: "2026-01-01T00:00:00Z" } };
  return {
    record,
    adoptedBy: (known, saved = [], { clock = systemClock, lifecycle = {} } = {}) => {
      const host = {
        clock,
        uidCount: 1,
        directories: { memory, hostRoot: logs, disk: memory, logs },
        images: { resolve: async () => await Promise.reject(new Error("no images here")) },
        log: { debug: () => undefined },
        pod: () => ({ metadata: { name: "app", namespace: "shop" }, spec: { containers: [spec] } }),
        podIp: () => "192.0.2.1",
        event: () => undefined,
        save: () => void saved.push(structuredClone(container.record)),
        changed: () => undefined,
      } as unknown as PodHost;
      const container = new ManagedContainer({ ...spec, lifecycle }, "main", host, structuredClone(known));
      container.adopt();
      return container;
    },
    log: () => readLogText({ root: logs, path: join(logs, spec.name, "0.log") }, everything),
    end: () => globalThis.process.kill(programPidOf(process.identity.pid) ?? 0, "SIGUSR1"),
  };
}

test("a container gets SIGTERM only once, even if its node process restarts meanwhile", async () => {
  const started = startContainer();
  const saved: ContainerRecord[] = [];
  const first = started.adoptedBy(started.record, saved);
  await until(() => started.log() === "ready\n");
  void first.stop(graceMs);
  await until(() => started.log() === "ready\nstop\n");
  assert.deepEqual(
    saved.map((record) => record.stopSignalled),
    [true],
  );
  const [record = started.record] = saved;
  const second = started.adoptedBy(record);
  const stopped = second.stop(graceMs);
  await setImmediate();
  started.end();
  await stopped;
  assert.equal(second.exitCode, 4);
  assert.equal(started.log(), "ready\nstop\nend\n");
});

test("a container that is stopped while it still begins gets the signal when its program has begun", async () => {
  const started = startContainer("sleep 987");
  const pid = started.record.identity?.pid ?? 0;
  // This stops the container's first process. On a busy machine, its program may already have begun.
  process.kill(pid, "SIGSTOP");
  const container = started.adoptedBy(started.record);
  const stopped = container.stop(graceMs);
  await setImmediate();
  process.kill(pid, "SIGCONT");
  await stopped;
  assert.equal(container.exitCode, 143, "ended by SIGTERM");
});

test("if a node process ends before it stops a container, the next one stops it", async () => {
  const started = startContainer();
  const container = started.adoptedBy(started.record);
  await until(() => started.log() === "ready\n");
  const stopped = container.stop(graceMs);
  await until(() => started.log() === "ready\nstop\n");
  started.end();
  await stopped;
  assert.equal(container.exitCode, 4);
});

test("a container that ignores SIGTERM is killed when a shorter grace period, which is requested meanwhile, is over", async () => {
  const started = startContainer();
  const container = started.adoptedBy(started.record);
  await until(() => started.log() === "ready\n");
  const stopped = container.stop(graceMs);
  await until(() => started.log() === "ready\nstop\n");
  container.shortenStop(2 * graceMs);
  container.shortenStop(0);
  await stopped;
  assert.equal(container.exitCode, 137);
});

/**
 * A clock whose timers the test runs. A sleep of `endlessMs`, which the hooks request, never ends. Other sleeps are
 * short and really wait.
 */
class TimersByHand extends HandClock {
  override async sleep(ms?: number): Promise<void> {
    if (ms === endlessMs) return await new Promise(() => undefined);
    await systemClock.sleep(ms ?? 0);
  }
}

const endlessMs = 86_400_000;
const endlessHook = { preStop: { sleep: { seconds: endlessMs / 1_000 } } };

test("if a preStop hook outlasts the grace period, the container gets SIGTERM then, and two seconds to end", async () => {
  for (const shortens of [false, true]) {
    const started = startContainer();
    const clock = new TimersByHand();
    const container = started.adoptedBy(started.record, [], { clock, lifecycle: endlessHook });
    await until(() => started.log() === "ready\n");
    const stopped = container.stop(shortens ? graceMs * 2 : graceMs);
    clock.pass(graceMs - 1_000);
    if (shortens) container.shortenStop(1_000);
    clock.pass(999);
    await setImmediate();
    assert.equal(container.record.stopSignalled, false, "the hook may still end");
    clock.pass(1);
    await until(() => started.log() === "ready\nstop\n");
    clock.pass(1_999);
    started.end();
    await stopped;
    assert.deepEqual([container.exitCode, started.log()], [4, "ready\nstop\nend\n"]);
    assert.equal(clock.timers, 0);
  }
});

test("the command of a preStop hook may take the whole grace period", async () => {
  const started = startContainer();
  const lifecycle = { preStop: { exec: { command: ["drain"] } } };
  const container = started.adoptedBy(started.record, [], { clock: new TimersByHand(), lifecycle });
  const limitsMs: number[] = [];
  container.execForOutput = async (_command, limitMs) => {
    limitsMs.push(limitMs);
    return await Promise.resolve({ exitCode: 0, output: "" });
  };
  await until(() => started.log() === "ready\n");
  const stopped = container.stop(600_000);
  await until(() => started.log() === "ready\nstop\n");
  started.end();
  await stopped;
  assert.deepEqual(limitsMs, [602_000]);
});

test("a container that ignores SIGTERM is killed two seconds later, however short its grace period is", async () => {
  for (const lastMs of [0, 1_000]) {
    const started = startContainer();
    const clock = new TimersByHand();
    const container = started.adoptedBy(started.record, [], { clock, lifecycle: lastMs === 0 ? endlessHook : {} });
    await until(() => started.log() === "ready\n");
    const stopped = container.stop(lastMs);
    clock.pass(0);
    await until(() => started.log() === "ready\nstop\n");
    clock.pass(lastMs);
    assert.equal(clock.nextTimerMs, 2_000 - lastMs);
    clock.pass(2_000 - lastMs);
    await stopped;
    assert.equal(container.exitCode, 137);
  }
});

test("a container whose program does not begin is killed two seconds after the grace period", async () => {
  const started = startContainer("sleep 987");
  const pid = started.record.identity?.pid ?? 0;
  const clock = new TimersByHand();
  process.kill(pid, "SIGSTOP");
  const container = started.adoptedBy(started.record, [], { clock });
  const stopped = container.stop(graceMs);
  clock.pass(graceMs);
  assert.equal(clock.nextTimerMs, 2_000);
  clock.pass(2_000);
  await stopped;
  assert.equal(container.exitCode, 137);
});

test("a container that its manifest forbids to run as root is not started as root, and its state says why", async () => {
  const events: string[] = [];
  const image = { argv: ["/bin/true"], environment: {}, workingDirectory: "/", release: { version: "1", root: "/" } };
  const host = {
    clock: systemClock,
    uidCount: 1,
    directories: { memory: "/nonexistent", hostRoot: "/nonexistent", disk: "/nonexistent", logs: "/nonexistent" },
    images: { has: () => true, resolve: async () => ({ ...image, runsAs: { user: 0, group: 0 } }) },
    pod: () => ({ metadata: { name: "app", namespace: "shop", uid: "7" }, spec: { containers: [spec] } }),
    sources: () => ({ services: () => [] }),
    programEnvironment: {},
    event: ({ reason, message }: EventNote) => void events.push(`${reason} ${message}`),
    changed: () => undefined,
  } as unknown as PodHost;
  const container = new ManagedContainer({ ...spec, securityContext: { runAsNonRoot: true } }, "main", host);
  await container.start();
  const message = 'container has runAsNonRoot and image will run as root (pod: "app_shop(7)", container: app)';
  assert.deepEqual(container.record.state, { waiting: { reason: "CreateContainerConfigError", message } });
  assert.equal(events.at(-1), `Failed Error: ${message}`);
  assert.equal(container.running, false);
});

/** A container whose program ends only at SIGUSR1, with the given hook and a readiness probe that always succeeds. */
function heldAtStart(postStart: NonNullable<Container["lifecycle"]>["postStart"]): {
  readonly container: ManagedContainer;
  readonly events: readonly string[];
  /** Ends the hook's command with this exit code. */
  readonly endHook: (exitCode: number) => void;
  readonly log: () => string;
} {
  const memory = mkdtempSync(join(tmpdir(), "managed-container-"));
  const logs = join(memory, "logs");
  mkdirSync(join(memory, "containers", spec.name), { recursive: true });
  mkdirSync(join(logs, spec.name), { recursive: true });
  const events: string[] = [];
  const image = {
    argv: ["/bin/sh", "-c", loggingScript],
    environment: { PATH: "/usr/bin:/bin" },
    workingDirectory: "/",
    runsAs: { user: 0, group: 0 },
    release: { version: "1", root: memory },
    aliases: {},
    applets: [],
    id: "app",
  };
  const host = {
    clock: systemClock,
    uidCount: 1,
    directories: { memory, hostRoot: logs, disk: memory, logs },
    images: { has: () => true, resolve: async () => await Promise.resolve(image) },
    log: { debug: () => undefined },
    pod: () => ({ metadata: { name: "app", namespace: "shop" }, spec: { containers: [spec] } }),
    sandbox: () => ({ namespaces: {} }),
    sources: () => ({ services: () => [], configMap: () => undefined, secret: () => undefined }),
    podIp: () => "192.0.2.1",
    etcFiles: () => ({}),
    programEnvironment: {},
    event: ({ reason, message }: EventNote) => void events.push(`${reason} ${message}`),
    save: () => undefined,
    changed: () => undefined,
  } as unknown as PodHost;
  const held = {
    ...spec,
    securityContext: { privileged: true },
    lifecycle: { postStart },
    readinessProbe: { exec: { command: ["probe"] } },
  } as Container;
  const container = new ManagedContainer(held, "main", host);
  const hook = Promise.withResolvers<number>();
  container.execForOutput = async ([program]) =>
    program === "probe" ? { exitCode: 0, output: "" } : { exitCode: await hook.promise, output: "no answer" };
  return {
    container,
    events,
    endHook: hook.resolve,
    log: () => readLogText({ root: logs, path: join(logs, spec.name, "0.log") }, everything),
  };
}

test("a container is neither probed nor ready before its postStart hook has succeeded", async () => {
  const { container, endHook, log } = heldAtStart({ exec: { command: ["wait"] } });
  const started = container.start();
  await until(() => log() === "ready\n");
  await systemClock.sleep(50);
  assert.deepEqual([container.started, container.view().ready], [false, false]);
  endHook(0);
  await started;
  await until(() => container.view().ready);
  container.kill();
  await container.exited;
});

test("a container whose postStart hook fails gets SIGTERM and its grace period", async () => {
  const { container, endHook, events, log } = heldAtStart({ exec: { command: ["wait"] } });
  const started = container.start();
  await until(() => log() === "ready\n");
  endHook(1);
  await started;
  await until(() => log() === "ready\nstop\n");
  assert.deepEqual(events.slice(-2), [
    "FailedPostStartHook PostStartHook failed: command exited with 1: no answer",
    "Killing FailedPostStartHook",
  ]);
  container.kill();
  await container.exited;
});

test("a start stops to wait for a postStart hook when the container ends or the pod is deleted", async () => {
  for (const isDeleted of [false, true]) {
    const { container, events, log } = heldAtStart({ sleep: { seconds: endlessMs / 1_000 } });
    const started = container.start();
    await until(() => log() === "ready\n");
    if (isDeleted) container.abandonStart();
    else container.kill();
    await started;
    assert.equal(container.running, isDeleted);
    container.kill();
    await container.exited;
    assert.equal(events.at(-1), "Started Started container app");
  }
});
