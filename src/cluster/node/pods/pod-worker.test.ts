import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { Pod } from "../../../api/kubernetes/index.ts";
import { systemClock, transientError } from "../../../base/index.ts";
import { HandClock } from "../../../base/testing/index.ts";
import type { EventNote } from "../../../kube/index.ts";
import { startTicksOf } from "../containers/container-process.ts";
import type { ManagedContainer } from "./managed-container.ts";
import type { ContainerRole, ContainerView } from "./pod-status.ts";
import { PodWorker, type NodeServices } from "./pod-worker.ts";

test("a record that could not be written is written in the next round", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pod-worker-"));
  const later: (() => void)[] = [];
  const warnings: string[] = [];
  const memory = join(directory, "pods", "ended");
  const services = {
    clock: { ...systemClock, after: (_ms: number, run: () => void) => (later.push(run), { [Symbol.dispose]() {} }) },
    log: { debug: () => undefined, warn: (message: string) => void warnings.push(message) },
    client: { patchMerge: async () => undefined },
    directoriesOf: () => ({
      memory,
      hostRoot: directory,
      disk: join(directory, "disk"),
      logs: join(directory, "logs"),
    }),
    hostIp: "192.0.2.1",
  } as unknown as NodeServices;
  // A pod that has ended. Its worker only keeps a record, so the test needs no special rights.
  const pod: Pod = {
    metadata: { name: "ended", namespace: "shop", uid: "uid" },
    spec: { containers: [] },
    status: { phase: "Succeeded" },
  };
  try {
    // The worker cannot write here, because the path of the pods' directory is a file.
    writeFileSync(join(directory, "pods"), "");
    new PodWorker(pod, services).kick();
    await new Promise(setImmediate);
    assert.deepEqual(warnings, ["the record of a pod could not be written"]);
    rmSync(join(directory, "pods"));
    for (const look of later.splice(0)) look();
    await new Promise(setImmediate);
    assert.ok(existsSync(join(memory, "pod.json")));
    assert.equal(warnings.length, 1);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a pod whose network plugin fails has no sandbox for others, and its event has a kubelet's text", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pod-worker-"));
  const events: EventNote[] = [];
  let status: Pod["status"];
  const services = {
    clock: { ...systemClock, after: () => ({ [Symbol.dispose]() {} }) },
    log: { debug: () => undefined, warn: () => undefined },
    client: {
      patchMerge: async (_kind: unknown, _name: string, _namespace: string, patch: Pod) => void (status = patch.status),
    },
    events: { record: (_kind: unknown, _pod: Pod, note: EventNote) => void events.push(note) },
    addresses: { adopt: () => undefined },
    attachment: {
      installed: true,
      add: () => Promise.reject(transientError("cni-failed", "CNI plugin serin-cni failed: no process answers")),
    },
    directoriesOf: () => ({
      memory: directory,
      hostRoot: directory,
      disk: join(directory, "disk"),
      logs: join(directory, "logs"),
    }),
    hostIp: "192.0.2.1",
  } as unknown as NodeServices;
  const pod: Pod = {
    metadata: { name: "web", namespace: "shop", uid: "uid" },
    spec: { containers: [{ name: "app", image: "app" }] },
  };
  const init = spawn("sleep", ["60"], { stdio: "ignore" });
  try {
    const pid = init.pid ?? 0;
    new PodWorker(pod, services, {
      uid: "uid",
      namespace: "shop",
      name: "web",
      startTime: "2026-01-01T00:00:00Z",
      init: { pid, startTicks: startTicksOf(pid) ?? "" },
      address: { ip: "10.0.0.5", serial: 1 },
      attached: false,
      containers: [],
    }).kick();
    await new Promise(setImmediate);
    assert.deepEqual(events, [
      {
        type: "Warning",
        reason: "FailedCreatePodSandBox",
        message:
          "Failed to create pod sandbox: the pod's network could not be set up: CNI plugin serin-cni failed: no process answers",
      },
    ]);
    assert.equal(status?.podIP, undefined);
    assert.equal(status?.conditions?.find(({ type }) => type === "PodReadyToStartContainers")?.status, "False");
    assert.equal(status?.containerStatuses?.[0]?.state?.waiting?.reason, "ContainerCreating");
  } finally {
    init.kill("SIGKILL");
    rmSync(directory, { recursive: true });
  }
});

test("a pod without its volumes has no sandbox for others, because a kubelet makes the volumes first", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pod-worker-"));
  const events: EventNote[] = [];
  let status: Pod["status"];
  const services = {
    clock: { ...systemClock, after: () => ({ [Symbol.dispose]() {} }) },
    log: { debug: () => undefined, warn: () => undefined },
    client: {
      patchMerge: async (_kind: unknown, _name: string, _namespace: string, patch: Pod) => void (status = patch.status),
    },
    events: { record: (_kind: unknown, _pod: Pod, note: EventNote) => void events.push(note) },
    addresses: { adopt: () => undefined },
    attachment: {
      installed: true,
      add: () => Promise.resolve(),
    },
    directoriesOf: () => ({
      memory: directory,
      hostRoot: directory,
      disk: join(directory, "disk"),
      logs: join(directory, "logs"),
    }),
    hostIp: "192.0.2.1",
    sourcesOf: () => {
      throw transientError("object-missing", 'secret "absent" not found');
    },
  } as unknown as NodeServices;
  const pod: Pod = {
    metadata: { name: "web", namespace: "shop", uid: "uid" },
    spec: { containers: [{ name: "app", image: "app" }] },
  };
  const init = spawn("sleep", ["60"], { stdio: "ignore" });
  try {
    const pid = init.pid ?? 0;
    new PodWorker(pod, services, {
      uid: "uid",
      namespace: "shop",
      name: "web",
      startTime: "2026-01-01T00:00:00Z",
      init: { pid, startTicks: startTicksOf(pid) ?? "" },
      address: { ip: "10.0.0.5", serial: 1 },
      attached: false,
      containers: [],
    }).kick();
    await new Promise(setImmediate);
    assert.equal(status?.conditions?.find(({ type }) => type === "PodReadyToStartContainers")?.status, "False");
    assert.deepEqual(events, []);
  } finally {
    init.kill("SIGKILL");
    rmSync(directory, { recursive: true });
  }
});

/** A fake container whose program ends when the test ends it, or when it is killed. */
class HeldContainer {
  readonly spec;
  readonly role: ContainerRole;
  readonly record = {};
  readonly fieldPath = "spec.containers{app}";
  running = true;
  ended = false;
  ready = true;
  done = false;
  readonly delayMs = 0;
  /** The grace periods of calls to stop the container, and of calls to shorten its stop. */
  readonly gracesMs: number[] = [];
  readonly #begun = Promise.withResolvers<void>();
  readonly #journal: string[];
  readonly #exit = Promise.withResolvers<void>();

  constructor(name: string, role: ContainerRole, journal: string[]) {
    this.spec = { name, image: "i" };
    this.role = role;
    this.#journal = journal;
  }

  get started(): boolean {
    return this.running;
  }

  /** Like the start of a container with a postStart hook, this lasts until the test calls {@link begin}. */
  async start(): Promise<void> {
    this.#journal.push(`start ${this.spec.name}`);
    this.running = true;
    await this.#begun.promise;
  }

  begin(): void {
    this.#begun.resolve();
  }

  abandonStart(): void {
    this.#begun.resolve();
  }

  end(): void {
    this.#journal.push(`${this.spec.name} ended`);
    this.running = false;
    this.ended = true;
    this.#exit.resolve();
  }

  async stop(graceMs: number): Promise<void> {
    if (!this.running) return;
    this.#journal.push(`stop ${this.spec.name}`);
    this.gracesMs.push(graceMs);
    await this.#exit.promise;
  }

  shortenStop(graceMs: number): void {
    this.gracesMs.push(graceMs);
  }

  async prepareStop(): Promise<void> {
    this.#journal.push(`preStop of ${this.spec.name}`);
  }

  kill(): void {
    if (this.running) this.end();
  }

  view(): ContainerView {
    const { spec, role, ready, done } = this;
    const state = this.running ? { running: { startedAt: "" } } : { terminated: { exitCode: 0 } };
    const fixed = { lastState: undefined, restartCount: 0, containerId: undefined, imageId: "" };
    return { ...fixed, spec, role, state, started: this.running, ready: this.running && ready, done };
  }
}

interface DeletedPod {
  readonly worker: PodWorker;
  readonly clock: HandClock;
  /** The events of the test, in order. */
  readonly journal: string[];
  /** The status of the condition Ready in each written status. */
  readonly readiness: (string | undefined)[];
  /** Makes the API server refuse to delete pods. */
  refuses: boolean;
  main(name: string): HeldContainer;
  sidecar(name: string): HeldContainer;
  deleted(graceSeconds: number): Pod;
}

/** A pod whose deletion has been requested, with containers that the test adds. */
function deletedPod(t: TestContext): DeletedPod {
  const directory = mkdtempSync(join(tmpdir(), "pod-worker-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const clock = new HandClock();
  const [journal, readiness]: [string[], (string | undefined)[]] = [[], []];
  const deleted = (graceSeconds: number): Pod => ({
    metadata: {
      name: "web",
      namespace: "shop",
      uid: "uid",
      deletionTimestamp: "2026-01-01T00:00:30Z",
      deletionGracePeriodSeconds: graceSeconds,
    },
    spec: { containers: [] },
    status: { phase: "Running" },
  });
  const given: DeletedPod = {
    clock,
    journal,
    readiness,
    refuses: false,
    deleted,
    worker: new PodWorker(deleted(30), {
      clock,
      log: { debug: () => undefined, warn: () => undefined },
      client: {
        patchMerge: async (_kind: unknown, _name: string, _namespace: string, patch: Pod) =>
          void readiness.push(patch.status?.conditions?.find(({ type }) => type === "Ready")?.status),
        delete: async (_kind: unknown, _name: string, _namespace: string, options: object) => {
          if (given.refuses) throw transientError("timeout", "the API server does not answer");
          journal.push(`delete ${JSON.stringify(options)}`);
        },
      },
      events: { record: (_kind: unknown, _pod: Pod, { message }: EventNote) => void journal.push(message) },
      directoriesOf: () => ({ memory: join(directory, "m"), hostRoot: directory, disk: directory, logs: directory }),
      hostIp: "192.0.2.1",
    } as unknown as NodeServices),
    main: (name) => add(name, "main"),
    sidecar: (name) => add(name, "sidecar"),
  };
  const add = (name: string, role: ContainerRole): HeldContainer => {
    const container = new HeldContainer(name, role, journal);
    given.worker.containers.push(container as unknown as ManagedContainer);
    return container;
  };
  return given;
}

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
};

test("a deleted pod ends its containers, then its sidecars in the reverse order of their start, and then its object", async (t) => {
  const { worker, journal, ...pod } = deletedPod(t);
  const [first, second] = [pod.sidecar("first"), pod.sidecar("second")];
  const [app, other] = [pod.main("app"), pod.main("other")];
  worker.kick();
  await turns();
  app.end();
  await turns();
  assert.deepEqual(journal.splice(0), [
    ...["first", "second", "app", "other"].map((name) => `Stopping container ${name}`),
    "preStop of first",
    "preStop of second",
    "stop app",
    "stop other",
    "app ended",
  ]);
  other.end();
  await turns();
  second.end();
  await turns();
  first.end();
  await worker.gone;
  assert.deepEqual(journal, [
    "other ended",
    "stop second",
    "second ended",
    "stop first",
    "first ended",
    'delete {"gracePeriodSeconds":0,"preconditions":{"uid":"uid"}}',
  ]);
});

test("sidecars share what is left of the grace period", async (t) => {
  const { worker, clock, ...pod } = deletedPod(t);
  const [first, second] = [pod.sidecar("first"), pod.sidecar("second")];
  const app = pod.main("app");
  worker.kick();
  await turns();
  clock.pass(10_000);
  app.end();
  await turns();
  clock.pass(19_500);
  second.end();
  await turns();
  first.end();
  await worker.gone;
  assert.deepEqual([app.gracesMs, second.gracesMs, first.gracesMs], [[30_000], [20_000], [500]]);
});

test("when the grace period is over, all sidecars are stopped at once", async (t) => {
  const { worker, journal, clock, ...pod } = deletedPod(t);
  const [first, second, third] = [pod.sidecar("first"), pod.sidecar("second"), pod.sidecar("third")];
  const app = pod.main("app");
  worker.kick();
  await turns();
  clock.pass(10_000);
  worker.update(pod.deleted(5));
  app.end();
  await turns();
  journal.length = 0;
  clock.pass(4_999);
  await turns();
  assert.deepEqual(journal, []);
  clock.pass(1);
  await turns();
  assert.deepEqual(journal, ["stop second", "stop first"]);
  assert.deepEqual(
    [third, second, first].map(({ gracesMs }) => gracesMs.at(-1)),
    [5_000, 0, 0],
  );
  for (const container of [first, second, third]) container.end();
  await worker.gone;
  assert.equal(clock.timers, 0);
});

test("a shorter grace period applies to containers that are being stopped, and a longer one does not", async (t) => {
  const { worker, clock, ...pod } = deletedPod(t);
  const app = pod.main("app");
  worker.kick();
  await turns();
  clock.pass(10_000);
  worker.update(pod.deleted(30));
  worker.update(pod.deleted(60));
  assert.deepEqual(app.gracesMs, [30_000]);
  worker.update(pod.deleted(1));
  assert.deepEqual(app.gracesMs, [30_000, 1_000]);
  app.end();
  await worker.gone;
});

test("while a pod ends, its status follows the readiness of its containers", async (t) => {
  const { worker, readiness, ...pod } = deletedPod(t);
  const app = pod.main("app");
  worker.kick();
  await turns();
  app.ready = false;
  worker.kick();
  await turns();
  assert.equal(readiness.at(-1), "False");
  app.end();
  await worker.gone;
});

test("a pod whose object is gone ends at once, and writes no status", async (t) => {
  const { worker, journal, readiness, ...pod } = deletedPod(t);
  pod.main("app");
  worker.remove();
  await worker.gone;
  await turns();
  assert.deepEqual([journal, readiness], [["app ended"], []]);
});

test("a pod whose object cannot be deleted stays until it can be, and its containers are stopped only once", async (t) => {
  const pod = deletedPod(t);
  const app = pod.main("app");
  pod.refuses = true;
  pod.worker.kick();
  await turns();
  app.end();
  await turns();
  pod.refuses = false;
  pod.clock.pass(500);
  await pod.worker.gone;
  assert.deepEqual(
    pod.journal.filter((line) => !line.startsWith("delete")),
    ["Stopping container app", "stop app", "app ended"],
  );
});

interface RunningPod {
  readonly worker: PodWorker;
  readonly clock: HandClock;
  readonly journal: string[];
  /** The written statuses, in order. */
  readonly statuses: NonNullable<Pod["status"]>[];
  readonly pod: Pod;
  readonly add: (name: string, role: ContainerRole, isRunning?: boolean) => HeldContainer;
  /** Makes the API server answer nothing from now on. */
  readonly silence: () => void;
}

/** A pod with a sandbox. The test adds its containers. */
function runningPod(t: TestContext, spec: Partial<NonNullable<Pod["spec"]>> = {}): RunningPod {
  const directory = mkdtempSync(join(tmpdir(), "pod-worker-"));
  const init = spawn("sleep", ["60"], { stdio: "ignore" });
  t.after(() => {
    init.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  });
  const pid = init.pid ?? 0;
  const clock = new HandClock();
  const journal: string[] = [];
  const statuses: NonNullable<Pod["status"]>[] = [];
  let isSilent = false;
  const pod: Pod = {
    metadata: { name: "web", namespace: "shop", uid: "uid" },
    spec: { containers: [], hostNetwork: true, ...spec },
  };
  const services = {
    clock,
    log: { debug: () => undefined, warn: (message: string) => void journal.push(message) },
    client: {
      patchMerge: async (_kind: unknown, _name: string, _namespace: string, patch: Pod) => {
        if (isSilent) await new Promise(() => undefined);
        statuses.push(patch.status ?? {});
      },
      delete: async () => void journal.push("delete"),
    },
    events: {
      record: (_kind: unknown, _pod: Pod, { reason, message }: EventNote) => void journal.push(`${reason} ${message}`),
    },
    directoriesOf: () => ({ memory: directory, hostRoot: directory, disk: join(directory, "d"), logs: directory }),
    sourcesOf: () => ({ pod }),
    hostIp: "192.0.2.1",
  } as unknown as NodeServices;
  const worker = new PodWorker(pod, services, {
    uid: "uid",
    namespace: "shop",
    name: "web",
    startTime: "1970-01-01T00:00:00Z",
    init: { pid, startTicks: startTicksOf(pid) ?? "" },
    address: undefined,
    attached: true,
    containers: [],
  });
  const add = (name: string, role: ContainerRole, isRunning = true): HeldContainer => {
    const container = new HeldContainer(name, role, journal);
    container.running = isRunning;
    worker.containers.push(container as unknown as ManagedContainer);
    return container;
  };
  return { worker, clock, journal, statuses, pod, add, silence: () => (isSilent = true) };
}

function readinessOf(status: Pod["status"]): string | undefined {
  return status?.conditions?.find(({ type }) => type === "Ready")?.status;
}

test("containers start one after another, so that the postStart hook of a proxy can hold the application", async (t) => {
  const { worker, journal, add } = runningPod(t);
  const proxy = add("istio-proxy", "main", false);
  add("app", "main", false);
  worker.kick();
  await turns();
  assert.deepEqual(journal, ["start istio-proxy"]);
  proxy.begin();
  await turns();
  assert.deepEqual(journal, ["start istio-proxy", "start app"]);
});

test("an ephemeral container starts although an init container does not end", async (t) => {
  const { worker, journal, add } = runningPod(t);
  add("istio-init", "init");
  add("app", "main", false);
  add("debugger", "ephemeral", false).begin();
  worker.kick();
  await turns();
  assert.deepEqual(journal, ["start debugger"]);
});

test("a pod that is deleted during a postStart hook is stopped at once, and starts no other container", async (t) => {
  const { worker, journal, pod, add } = runningPod(t);
  const proxy = add("istio-proxy", "main", false);
  add("app", "main", false);
  worker.kick();
  await turns();
  worker.update({ ...pod, metadata: { ...pod.metadata, deletionTimestamp: "1970-01-01T00:00:30Z" } });
  await turns();
  proxy.end();
  await worker.gone;
  assert.deepEqual(journal, [
    "start istio-proxy",
    "Killing Stopping container istio-proxy",
    "stop istio-proxy",
    "istio-proxy ended",
    "delete",
  ]);
});

test("a pod that has run for its activeDeadlineSeconds is stopped, and then failed for good", async (t) => {
  const { worker, clock, journal, statuses, add } = runningPod(t, { activeDeadlineSeconds: 60 });
  const proxy = add("istio-proxy", "sidecar");
  const app = add("app", "main");
  worker.kick();
  await turns();
  clock.pass(59_999);
  await turns();
  assert.deepEqual(journal, []);
  clock.pass(1);
  await turns();
  app.end();
  await turns();
  assert.equal(statuses.at(-1)?.phase, "Running", "the sidecar still runs");
  proxy.end();
  await turns();
  const words = "Pod was active on the node longer than the specified deadline";
  assert.deepEqual(journal, [
    `DeadlineExceeded ${words}`,
    "Killing Stopping container istio-proxy",
    "Killing Stopping container app",
    "preStop of istio-proxy",
    "stop app",
    "app ended",
    "stop istio-proxy",
    "istio-proxy ended",
  ]);
  const { phase, reason, message, conditions = [] } = statuses.at(-1) ?? {};
  assert.deepEqual([phase, reason, message], ["Failed", "DeadlineExceeded", words]);
  assert.equal(conditions.find(({ type }) => type === "Ready")?.reason, "PodFailed");
  worker.kick();
  await turns();
  assert.deepEqual([journal.length, statuses.at(-1)?.phase], [8, "Failed"]);
});

test("a container that ends is reported as not ready at once, although its next run begins late", async (t) => {
  const { worker, statuses, add } = runningPod(t);
  const app = add("app", "main");
  worker.kick();
  await turns();
  assert.equal(readinessOf(statuses.at(-1)), "True");
  app.end();
  worker.kick();
  await turns();
  // The postStart hook of the next run has not ended, so the container is not ready.
  assert.equal(readinessOf(statuses.at(-1)), "False");
});

test("a container that ends while the API server does not answer is started again at once", async (t) => {
  const { worker, journal, add, silence } = runningPod(t);
  const app = add("app", "main");
  worker.kick();
  await turns();
  silence();
  app.end();
  worker.kick();
  await turns();
  assert.deepEqual(journal, ["app ended", "start app"]);
});

test("while the postStart hook of one container holds the others back, a container that ends is reported as not ready", async (t) => {
  const { worker, statuses, add } = runningPod(t);
  const [proxy, app] = [add("istio-proxy", "sidecar"), add("app", "main")];
  worker.kick();
  await turns();
  app.end();
  worker.kick();
  await turns();
  proxy.end();
  worker.kick();
  await turns();
  assert.deepEqual(
    statuses.at(-1)?.initContainerStatuses?.map(({ name, ready }) => [name, ready]),
    [["istio-proxy", false]],
  );
});

test("the status of a pod that ends for good is written once, with its end", async (t) => {
  const { worker, statuses, add } = runningPod(t, { restartPolicy: "Never" });
  const app = add("app", "main");
  worker.kick();
  await turns();
  app.end();
  worker.kick();
  await turns();
  assert.deepEqual(
    statuses.map(({ phase }) => phase),
    ["Running", "Succeeded"],
  );
});
