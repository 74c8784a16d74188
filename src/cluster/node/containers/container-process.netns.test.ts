import assert from "node:assert/strict";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../../base/index.ts";
import { until } from "../../../base/testing/index.ts";
import type { PlaceBelow } from "../place-below.ts";
import { ContainerLog, readLogText } from "./container-log.ts";
import {
  adoptContainer,
  isAlive,
  programPidOf,
  spawnContainer,
  startTicksOf,
  type SpawnedContainer,
} from "./container-process.ts";
import { buildTestRoot } from "./testing/test-root.ts";
import { requireOwnNetwork } from "../../../net/testing/index.ts";

requireOwnNetwork();

const everything = {
  follow: false,
  timestamps: false,
  tailLines: undefined,
  sinceMs: undefined,
  limitBytes: undefined,
};

function start(script: string): { directory: string; spawned: SpawnedContainer } {
  const directory = mkdtempSync(join(tmpdir(), "serin-container-"));
  const mount = buildTestRoot({ workingDirectory: "/tmp/deep/er" });
  const rights = { privileged: false, capabilities: ["kill"], user: 0, group: 0, noNewPrivileges: false };
  const command = {
    argv: ["/bin/sh", "-c", script],
    environment: { PATH: "/usr/bin:/bin", GREETING: "hello" },
    workingDirectory: "/tmp/deep/er",
    rights,
  };
  return {
    directory,
    spawned: spawnContainer({
      namespaces: { mount },
      hostPid: false,
      directory,
      stdin: false,
      terminal: undefined,
      command,
    }),
  };
}

async function logOf({
  directory,
  spawned,
}: ReturnType<typeof start>): Promise<{ place: PlaceBelow; done: Promise<void> }> {
  const place = { root: directory, path: join(directory, "0.log") };
  return await Promise.resolve({ place, done: new ContainerLog(place, systemClock).consume(spawned.output) });
}

test("a container has its working directory and environment, and its output and exit code are reported", async () => {
  const started = start("echo $GREETING; pwd; echo oops >&2; exit 7");
  const log = await logOf(started);
  assert.deepEqual(await started.spawned.process.exited, { exitCode: 7, lost: false });
  await log.done;
  assert.equal(readLogText(log.place, everything), "hello\n/tmp/deep/er\noops\n");
  assert.match(readFileSync(log.place.path, "utf8"), /^\d{4}-\d\d-\d\dT\S+Z stdout F hello\n/);
  assert.equal(readLogText(log.place, { ...everything, tailLines: 1 }), "oops\n");
});

test("a signal reaches the program, and its end also ends every process that it started", async () => {
  const started = start('trap "echo bye; exit 3" TERM; sleep 987 & echo $!; while :; do sleep 0.05; done');
  const log = await logOf(started);
  await until(() => readLogText(log.place, everything) !== "");
  const program = programPidOf(started.spawned.process.identity.pid) ?? 0;
  assert.notEqual(startTicksOf(program), undefined);
  started.spawned.process.signal("SIGTERM");
  assert.deepEqual(await started.spawned.process.exited, { exitCode: 3, lost: false });
  // The log ends only when the last process with the pipe has ended. The sleep of 987 seconds is such a process.
  await log.done;
  assert.match(readLogText(log.place, everything), /^\d+\nbye\n$/);
});

test("a container that another process started can be adopted, and its exit code is known", async () => {
  const started = start("echo one; read line < /tmp/never || sleep 0.4; echo two; exit 5");
  const adopted = adoptContainer(started.spawned.process.identity, started.directory, systemClock);
  assert.notEqual(adopted.output, undefined);
  assert.deepEqual(await adopted.process.exited, { exitCode: 5, lost: false });
  assert.equal(isAlive(started.spawned.process.identity), false);
  const late = adoptContainer(started.spawned.process.identity, started.directory, systemClock);
  assert.equal(late.output, undefined);
  assert.deepEqual(await late.process.exited, { exitCode: 5, lost: false });
});

test("a killed container counts as 137", async () => {
  const { spawned } = start("sleep 987");
  spawned.process.kill();
  assert.deepEqual(await spawned.process.exited, { exitCode: 137, lost: false });
});

test("a program that writes to the file of its exit code can only change its own code", async () => {
  const started = start("for i in 1 2 3 4 5 6 7 8; do echo 11111111 >>/proc/1/fd/10; done; exit 5");
  const adopted = adoptContainer(started.spawned.process.identity, started.directory, systemClock);
  assert.deepEqual(await adopted.process.exited, { exitCode: 5, lost: false });
});
