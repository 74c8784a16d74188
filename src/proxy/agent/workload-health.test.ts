import assert from "node:assert/strict";
import { createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { systemClock } from "../../base/index.ts";
import { readWorkloadProbe, watchWorkloadHealth, type WorkloadProbe } from "./workload-health.ts";

/** Returns the first report, and the report after `change`. */
async function reports(probe: WorkloadProbe, change: () => Promise<void>): Promise<readonly (string | undefined)[]> {
  const ended = new AbortController();
  const found: (string | undefined)[] = [];
  await new Promise<void>((resolve, reject) => {
    const report = (fault: string | undefined): void => {
      found.push(fault);
      if (found.length === 1) change().catch(reject);
      else resolve();
    };
    watchWorkloadHealth(
      { probe: { periodSeconds: 0.01, ...probe }, address: "127.0.0.1", clock: systemClock, report },
      ended.signal,
    ).catch(reject);
  });
  ended.abort();
  return found;
}

test("a port that accepts connections is healthy, and one that refuses several in a row is unhealthy", async () => {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const [first, then] = await reports(
    { tcpSocket: { port }, failureThreshold: 2 },
    async () => await new Promise<void>((resolve) => server.close(() => resolve())),
  );
  assert.equal(first, undefined);
  assert.match(then ?? "", /ECONNREFUSED/);
});

test("a command with exit code 0 is healthy, and an invalid probe is refused with its field", async () => {
  const ended = new AbortController();
  const fault = await new Promise(
    (report) =>
      void watchWorkloadHealth(
        { probe: { exec: { command: ["false"] }, failureThreshold: 1 }, address: "", clock: systemClock, report },
        ended.signal,
      ),
  );
  ended.abort();
  assert.match(String(fault), /false/);
  assert.throws(
    () => readWorkloadProbe({ httpGet: { port: 1 }, exec: { command: ["true"] } }),
    /exactly one of httpGet, tcpSocket, exec, grpc/,
  );
  assert.equal(readWorkloadProbe(undefined), undefined);
});
