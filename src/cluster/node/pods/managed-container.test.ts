// Tests the state that a container shows while its runs cannot begin. Tests of runs need namespaces, and are in
// managed-container.netns.test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container } from "../../../api/kubernetes/index.ts";
import { userError } from "../../../base/index.ts";
import { HandClock } from "../../../base/testing/index.ts";
import type { EventNote } from "../../../kube/index.ts";
import { newRecord, type ContainerRecord } from "./container-record.ts";
import { ManagedContainer } from "./managed-container.ts";
import type { PodHost } from "./pod-host.ts";

interface Given {
  readonly spec?: Partial<Container>;
  readonly record?: Partial<ContainerRecord>;
  /** The error with which the image cannot be resolved. */
  readonly imageFault?: Error;
}

/** A container that may not run as root, while its image states root. So no run begins. */
function refusedContainer({ spec, record, imageFault }: Given = {}): {
  readonly container: ManagedContainer;
  readonly clock: HandClock;
  readonly events: string[];
} {
  const clock = new HandClock();
  const events: string[] = [];
  const nowhere = "/nonexistent";
  const image = {
    argv: ["/bin/true"],
    environment: {},
    workingDirectory: "/",
    release: { version: "1", root: nowhere },
    runsAs: { user: 0, group: 0 },
  };
  const host = {
    clock,
    uidCount: 1,
    directories: { memory: nowhere, hostRoot: nowhere, disk: nowhere, logs: nowhere },
    images: {
      has: () => imageFault === undefined,
      resolve: async () => (imageFault === undefined ? image : await Promise.reject(imageFault)),
    },
    pod: () => ({ metadata: { name: "web", namespace: "shop", uid: "7" }, spec: { containers: [] } }),
    sources: () => ({ services: () => [] }),
    programEnvironment: {},
    event: ({ reason }: EventNote) => void events.push(reason),
    changed: () => undefined,
  } as unknown as PodHost;
  const container = new ManagedContainer(
    { name: "app", image: "app:1", securityContext: { runAsNonRoot: true }, ...spec },
    "main",
    host,
    { ...newRecord("app", "ContainerCreating"), ...record },
  );
  return { container, clock, events };
}

const crashed = { terminated: { exitCode: 1, reason: "Error", startedAt: "2026-01-01T00:00:00Z" } };

test("attempts that start nothing do not count as restarts, and keep the last run's state and the number of its log", async () => {
  const { container, clock } = refusedContainer({ record: { state: crashed, restartCount: 3 } });
  for (let attempt = 1; attempt <= 4; attempt += 1) {
    await container.start();
    const { state, lastState, restartCount } = container.view();
    assert.equal(state.waiting?.reason, "CreateContainerConfigError");
    assert.deepEqual([lastState, restartCount], [crashed, 3], `attempt ${attempt}`);
    clock.pass(container.delayMs);
  }
});

test("attempts that start nothing are delayed longer each time", async () => {
  const { container, clock } = refusedContainer();
  const delaysMs: number[] = [];
  for (let attempt = 1; attempt <= 4; attempt += 1) {
    await container.start();
    delaysMs.push(container.delayMs);
    clock.pass(container.delayMs);
  }
  assert.deepEqual(delaysMs, [1_000, 2_000, 4_000, 8_000]);
  assert.equal(container.ended, false);
});

test("an image that cannot be found becomes ImagePullBackOff while the next attempt is delayed, with the same cause", async () => {
  const imageFault = userError("image-unknown", 'no image "app:1"');
  const { container } = refusedContainer({ imageFault });
  await container.start();
  assert.equal(container.view().state.waiting?.reason, "ErrImagePull");
  container.showBackoff();
  const { waiting } = container.view().state;
  assert.equal(waiting?.reason, "ImagePullBackOff");
  assert.match(waiting?.message ?? "", /^Back-off pulling image "app:1": .*no image "app:1"/);
});

test("a crashed container shows CrashLoopBackOff once per delay, with its last end", () => {
  const { container, events } = refusedContainer({ record: { state: crashed } });
  container.showBackoff();
  container.showBackoff();
  const { state, lastState } = container.view();
  assert.equal(state.waiting?.reason, "CrashLoopBackOff");
  assert.match(state.waiting?.message ?? "", /restarting failed container=app pod=web_shop$/);
  assert.deepEqual(lastState, crashed);
  assert.deepEqual(events, ["BackOff"]);
  assert.equal(container.exitCode, 1, "the pod decides by the last exit code whether to restart");
});

test("a container that does not run is stopped at once, and refuses commands", async () => {
  const { container, clock } = refusedContainer({ record: { state: crashed } });
  await container.stop(30_000);
  container.shortenStop(0);
  assert.equal(clock.timers, 0);
  await assert.rejects(container.execContext(), /container not found \("app"\)/);
});
