import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
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

test("the wait ends when the program listens, and after three seconds at the latest", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  let nowMs = 0;
  const waits: number[] = [];
  const clock: Clock = {
    ...systemClock,
    steadyMs: () => nowMs,
    sleep: async (ms) => {
      waits.push(ms);
      nowMs += ms;
    },
  };
  await untilListening(process.pid, [port], clock, new AbortController().signal);
  assert.deepEqual(waits, []);
  server.close();
  await once(server, "close");
  await untilListening(process.pid, [port], clock, new AbortController().signal);
  assert.equal(nowMs, 3_000);
});
