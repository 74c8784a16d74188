import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock, type Clock } from "../../../base/index.ts";
import { declaredPorts, untilListening } from "./container-ports.ts";

test("only declared TCP ports are awaited", () => {
  assert.deepEqual(
    declaredPorts({
      name: "c",
      ports: [{ containerPort: 80 }, { containerPort: 53, protocol: "UDP" }, { containerPort: 443, protocol: "TCP" }],
    }),
    [80, 443],
  );
});

function steppedClock(onSleep: (nowMs: number) => void = () => undefined): Clock {
  let nowMs = 0;
  return {
    ...systemClock,
    steadyMs: () => nowMs,
    sleep: async (ms) => {
      nowMs += ms;
      onSleep(nowMs);
    },
  };
}

const { signal } = new AbortController();

test("the wait ends when the program listens", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const clock = steppedClock();
  await untilListening(process.pid, [port], clock, signal);
  assert.equal(clock.steadyMs(), 0);
  server.close();
  await once(server, "close");
});

/** A fake /proc with a container whose shell has started a program with two threads. */
class FakeContainer {
  readonly proc = mkdtempSync(join(tmpdir(), "proc-"));
  readonly #program = join(this.proc, "8/task");

  constructor() {
    this.#thread("7/task/7", 0, "8 ");
    this.waitedForProcessor(0);
  }

  /** Sets how long the program's second thread has waited for a CPU. The first thread hardly waits. */
  waitedForProcessor(ms: number): void {
    this.#thread("8/task/8", 2, "");
    this.#thread("8/task/9", ms, "");
  }

  hasEnded(): void {
    rmSync(this.#program, { recursive: true });
  }

  #thread(path: string, waitedMs: number, children: string): void {
    const folder = join(this.proc, path);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "schedstat"), `123456 ${waitedMs * 1_000_000} 12\n`);
    writeFileSync(join(folder, "children"), children);
  }

  [Symbol.dispose](): void {
    rmSync(this.proc, { recursive: true });
  }
}

test("a program that never listens counts as ready after three seconds", async () => {
  using container = new FakeContainer();
  container.hasEnded();
  const clock = steppedClock();
  await untilListening(7, [80], clock, signal, container.proc);
  assert.equal(clock.steadyMs(), 3_000);
});

test("the time in which the program waited for a processor is not counted", async () => {
  using container = new FakeContainer();
  const starvedMs = 4_000;
  const clock = steppedClock((nowMs) => container.waitedForProcessor(Math.min(nowMs, starvedMs)));
  await untilListening(7, [80], clock, signal, container.proc);
  assert.equal(clock.steadyMs(), starvedMs + 3_000);
});
