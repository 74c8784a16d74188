import assert from "node:assert/strict";
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createLogger, silentLogger, systemClock } from "../../base/index.ts";
import { HandClock, until } from "../../base/testing/index.ts";
import { ManagedChild, type ManagedChildOptions } from "./managed-child.ts";

test("a process that the kernel refuses to start is started again until it runs", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "serin-managed-child-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const program = join(directory, "program");
  let refused = 0;
  const messages: unknown[] = [];
  const { promise: running, resolve: runs } = Promise.withResolvers<void>();
  const child = new ManagedChild({
    name: "node",
    program,
    args: [],
    environment: {},
    namespace: { enter: (body) => body() },
    descriptors: [],
    log: createLogger({
      scope: "test",
      write: (line) => {
        if (!line.includes("a process cannot be started")) return;
        refused += 1;
        if (refused < 2) return;
        writeFileSync(program, `#!${process.execPath}\nprocess.send({ ready: true });\n`);
        chmodSync(program, 0o755);
      },
    }),
    clock: systemClock,
    random: () => 0,
    onMessage: (message) => {
      messages.push(message);
      child.abandon();
      runs();
    },
  });
  child.start();
  await running;
  assert.deepEqual(messages, [{ ready: true }]);
  assert.equal(refused, 2);
});

interface Children {
  readonly child: ManagedChild;
  readonly clock: HandClock;
  readonly started: () => number;
}

/** A managed child that runs a shell script, and is restarted when the script ends. */
function scriptedChild(script: string, options: Partial<ManagedChildOptions> = {}): Children {
  const clock = new HandClock();
  let started = 0;
  const child = new ManagedChild({
    name: "node",
    program: "/bin/sh",
    args: ["-c", script],
    environment: {},
    namespace: {
      enter: (body) => {
        started += 1;
        return body();
      },
    },
    descriptors: [],
    log: silentLogger,
    clock,
    random: () => 1,
    onMessage: () => undefined,
    ...options,
  });
  return { child, clock, started: () => started };
}

test("the first restart has no delay, and the delays of a child that keeps dying double up to five seconds", async () => {
  const { child, clock, started } = scriptedChild("exit 1");
  child.start();
  await until(() => started() === 2 && clock.timers === 1);
  const delaysMs: number[] = [];
  for (let restart = 3; restart <= 9; restart += 1) {
    delaysMs.push(clock.nextTimerMs);
    clock.pass(clock.nextTimerMs);
    await until(() => started() === restart && clock.timers === 1);
  }
  assert.deepEqual(delaysMs, [200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
  child.abandon();
  clock.pass(5_000);
  assert.equal(started(), 9, "an abandoned child is not started again");
});

test("a child that ran for more than ten seconds is started again at once, however often it died before", async () => {
  const directory = mkdtempSync(join(tmpdir(), "serin-managed-child-"));
  const [held, end] = [join(directory, "held"), join(directory, "end")];
  const { child, clock, started } = scriptedChild(
    `if [ -e ${held} ]; then while [ ! -e ${end} ]; do sleep 0.01; done; fi; exit 1`,
  );
  try {
    child.start();
    await until(() => started() === 2 && clock.timers === 1);
    writeFileSync(held, "");
    clock.pass(clock.nextTimerMs);
    await until(() => started() === 3);
    clock.pass(10_001);
    writeFileSync(end, "");
    await until(() => started() === 4 && clock.timers === 1);
    child.abandon();
    assert.equal(clock.nextTimerMs, 200);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a start that the kernel refuses at once is tried again, and does not end the supervisor", async () => {
  let attempts = 0;
  const messages: unknown[] = [];
  const clock = new HandClock();
  const { child } = scriptedChild("", {
    clock,
    program: process.execPath,
    args: ["-e", "process.send('runs')"],
    namespace: {
      enter: (body) => {
        attempts += 1;
        if (attempts < 3) throw new Error("spawn ENOMEM");
        return body();
      },
    },
    onMessage: (message) => {
      messages.push(message);
      child.abandon();
    },
  });
  child.start();
  assert.deepEqual([attempts, clock.nextTimerMs], [2, 200]);
  clock.pass(200);
  await until(() => messages.length === 1);
  assert.deepEqual([attempts, messages], [3, ["runs"]]);
});

test("a child gets the given descriptors from 4 on, and no other variables than the given ones", async () => {
  const directory = mkdtempSync(join(tmpdir(), "serin-managed-child-"));
  const file = join(directory, "written");
  const descriptor = openSync(file, "w");
  const { child } = scriptedChild("env | grep -v ^NODE_CHANNEL | sort >&4; pwd >&4; echo end >&4", {
    descriptors: [descriptor],
    environment: { HOME: "/nowhere" },
  });
  try {
    child.start();
    child.abandon();
    await until(() => readFileSync(file, "utf8").endsWith("end\n"));
    const lines = readFileSync(file, "utf8").split("\n");
    assert.deepEqual(
      lines.filter((line) => !/^(PWD|SHLVL|_|OLDPWD)=/.test(line)),
      ["HOME=/nowhere", "/", "end", ""],
    );
  } finally {
    closeSync(descriptor);
    rmSync(directory, { recursive: true });
  }
});
