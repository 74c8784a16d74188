import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { createLogger, logLevels, systemClock } from "../base/index.ts";
import { AccessLog, fileSink } from "./access-log.ts";

test("lines arrive whole and in order, and those beyond the buffers are dropped and counted", async () => {
  const written: string[] = [];
  let release: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const troubles: string[] = [];
  const log = new AccessLog({
    clock: systemClock,
    bufferBytes: 64,
    onTrouble: (message) => troubles.push(message),
    sink: {
      async write(bytes) {
        await gate;
        written.push(Buffer.from(bytes).toString());
      },
    },
  });
  for (let index = 0; index < 40; index += 1) log.line(`line ${index}\n`);
  release();
  await log.flush();
  const lines = written.join("").trimEnd().split("\n");
  assert.equal(lines.length + log.droppedLines, 40);
  assert.ok(log.droppedLines > 0);
  assert.deepEqual(
    lines,
    lines.map((_, index) => `line ${index}`),
  );
  assert.equal(troubles.length, 1);
});

test("lines that became due while the sink was busy are written when it is free, and a line above every buffer is dropped", async () => {
  const written: string[] = [];
  let release: () => void = () => undefined;
  const timers: (() => void)[] = [];
  const clock = {
    ...systemClock,
    after: (_ms: number, run: () => void) => {
      timers.push(run);
      return { [Symbol.dispose]: () => undefined };
    },
  };
  const log = new AccessLog({
    clock,
    bufferBytes: 64,
    sink: {
      write: async (bytes) => {
        written.push(Buffer.from(bytes).toString());
        await new Promise<void>((resolve) => (release = resolve));
      },
    },
  });
  log.line("first\n");
  timers.shift()?.();
  log.line("second\n");
  timers.shift()?.();
  assert.deepEqual(written, ["first\n"]);
  release();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(written, ["first\n", "second\n"]);
  release();
  await log.flush();
  log.line(`${"x".repeat(64)}\n`);
  assert.equal(log.droppedLines, 1);
});

test("warnings and errors of a logger are written at once, in order with the lines before", async () => {
  const written: string[] = [];
  const log = new AccessLog({
    clock: { ...systemClock, after: () => ({ [Symbol.dispose]: () => undefined }) },
    sink: { write: async (bytes) => await Promise.resolve(void written.push(Buffer.from(bytes).toString())) },
  });
  const scope = { scope: "test", level: "trace", format: { messageKey: "msg" } } as const;
  const logger = createLogger({ ...scope, write: (line, level) => log.logLine(line, level) });
  for (const level of logLevels) {
    log.line(`access before ${level}\n`);
    logger[level](level);
  }
  assert.deepEqual(
    written.map((lines) => [...lines.matchAll(/access before \w+|(?<="msg":")\w+/g)].map(([word]) => word)),
    [
      [
        ...["trace", "debug", "info"].flatMap((level) => [`access before ${level}`, level]),
        "access before warn",
        "warn",
      ],
    ],
  );
  // The error waits only for the write in flight, not for the next interval.
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(written.length, 2);
  assert.match(written[1] ?? "", /^access before error\n.*"error"/);
});

test("of many warnings the first is written at once, and the others with the next error or in time", async () => {
  const written: string[] = [];
  let steadyMs = 5000;
  const log = new AccessLog({
    clock: { ...systemClock, steadyMs: () => steadyMs, after: () => ({ [Symbol.dispose]: () => undefined }) },
    flushIntervalMs: 100,
    sink: { write: async (bytes) => await Promise.resolve(void written.push(Buffer.from(bytes).toString())) },
  });
  const warn = async (): Promise<void> => {
    log.logLine("w", "warn");
    await new Promise((resolve) => setImmediate(resolve));
  };
  for (let count = 0; count < 5; count += 1) await warn();
  assert.deepEqual(written, ["w"]);
  log.logLine("e", "error");
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(written, ["w", "wwwwe"]);
  steadyMs += 100;
  await warn();
  assert.deepEqual(written, ["w", "wwwwe", "w"]);
});

test("an error that a worker thread logs just before it dies reaches the main thread", async () => {
  const code = `
    import { createLogger, systemClock } from ${JSON.stringify(new URL("../base/index.ts", import.meta.url).href)};
    import { AccessLog, fileSink } from ${JSON.stringify(new URL("access-log.ts", import.meta.url).href)};
    const lines = new AccessLog({ sink: fileSink("/dev/stderr"), clock: systemClock, flushIntervalMs: 60_000 });
    const log = createLogger({ scope: "test", write: (line, level) => lines.logLine(line, level) });
    log.error("the cause");
    throw new Error("died");`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), { stderr: true });
  const died = new Promise((resolve) => worker.once("error", resolve));
  assert.match(await text(worker.stderr), /the cause/);
  assert.match(String(await died), /died/);
});

test("a closed log leaves no file open, and a later line opens it again", async () => {
  const directory = mkdtempSync(join(tmpdir(), "serin-log-"));
  const path = join(directory, "access.log");
  const openFiles = (): readonly string[] =>
    readdirSync("/proc/self/fd").flatMap((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return [];
      }
    });
  try {
    const log = new AccessLog({ clock: systemClock, sink: fileSink(path) });
    log.line("one\n");
    await log.flush();
    assert.ok(openFiles().includes(path));
    await log.close();
    assert.ok(!openFiles().includes(path));
    log.line("two\n");
    await log.close();
    assert.ok(!openFiles().includes(path));
    assert.equal(readFileSync(path, "utf8"), "one\ntwo\n");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test("closing a log whose file cannot be opened reports only the failed write", async () => {
  const troubles: string[] = [];
  const directory = mkdtempSync(join(tmpdir(), "serin-access-log-"));
  rmSync(directory, { recursive: true });
  const sink = fileSink(join(directory, "access.log"));
  const log = new AccessLog({ clock: systemClock, sink, onTrouble: (message) => void troubles.push(message) });
  log.line("one\n");
  await log.close();
  assert.match(troubles.join("|"), /^the access log cannot be written: [^|]*ENOENT[^|]*$/);
});

test("a worker thread passes only its lines to the main thread, which writes them, and not the whole buffer", async () => {
  const code = `
    import { parentPort } from "node:worker_threads";
    import { systemClock } from ${JSON.stringify(new URL("../base/index.ts", import.meta.url).href)};
    import { AccessLog, fileSink } from ${JSON.stringify(new URL("access-log.ts", import.meta.url).href)};
    process.stderr.write = (bytes, done) => {
      parentPort.postMessage({ text: Buffer.from(bytes).toString(), memoryBytes: bytes.buffer.byteLength });
      done();
      return true;
    };
    const log = new AccessLog({ sink: fileSink("/dev/stderr"), clock: systemClock });
    log.line("a line\\n");
    await log.close();`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`));
  const written = await new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  assert.deepEqual(written, { text: "a line\n", memoryBytes: 7 });
  await worker.terminate();
});
