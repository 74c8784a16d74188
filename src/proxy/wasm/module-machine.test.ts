import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { until } from "../../base/testing/index.ts";
import { maps } from "./abi.ts";
import { parsePairs, serializePairs } from "./pairs.ts";
import { RunningModule } from "./testing/run-module.ts";

const code = await readFile(join(import.meta.dirname, "../../../test/wasm/test-module.wasm"));
const head = [
  [":method", "GET"],
  ["content-length", "4"],
] as const;
const withAction = (action: string): typeof head => [...head, ["x-do", action]] as unknown as typeof head;

test("a module changes headers, reads properties, and sees stream events in order", async () => {
  using running = await RunningModule.start(code);
  const opened = await running.open(head, false);
  assert.equal(opened.action, 0);
  assert.deepEqual(running.fields(maps.requestHeaders), [
    [":method", "GET"],
    ["x-path", "/there"],
  ]);
  const first = await running.machine.event(opened.context, {
    kind: "body",
    side: "request",
    bytes: Buffer.from("wi"),
    end: false,
  });
  assert.deepEqual([first.action, first.body], [1, undefined], "held");
  const last = await running.machine.event(opened.context, {
    kind: "body",
    side: "request",
    bytes: Buffer.from("th"),
    end: true,
  });
  assert.equal(Buffer.from(last.body ?? []).toString(), ">with");
  await running.machine.event(opened.context, { kind: "headers", side: "response", fields: [], end: false });
  assert.ok(running.fields(maps.responseHeaders).some(([name, value]) => name === "x-wasm" && value === "response"));
  const answered = await running.machine.event(opened.context, {
    kind: "body",
    side: "response",
    bytes: Buffer.from("hello"),
    end: true,
  });
  assert.equal(Buffer.from(answered.body ?? []).toString(), "hello!");
  assert.deepEqual(running.logs, ["starts"]);
});

test("a module answers itself, and continues when a cluster has answered", async () => {
  using running = await RunningModule.start(code, {
    callCluster: ({ cluster, method, path, authority }) =>
      Promise.resolve({
        status: 200,
        headers: [],
        body: Buffer.from(`${cluster} ${method} ${path} ${authority}`),
      }),
  });
  assert.equal((await running.open(withAction("deny"))).action, 1);
  const reply = running.effects.find((effect) => effect.kind === "reply")?.reply;
  assert.deepEqual(
    [reply?.status, Buffer.from(reply?.body ?? []).toString(), reply?.grpcStatus],
    [403, "denied", undefined],
  );
  assert.equal((await running.open(withAction("call"))).action, 1);
  await until(() => running.effects.some((effect) => effect.kind === "continue" && effect.side === "request"));
  assert.ok(running.fields(maps.requestHeaders).some(([, value]) => value === "callee GET /asked callee"));
});

test("a module cannot write a line break into a header, so that its input does not become another header", async () => {
  using running = await RunningModule.start(code);
  await running.open(head, true, { request: { path: "/there\r\ntransfer-encoding: chunked\r\n\r\nGET /other" } });
  assert.deepEqual(
    running.fields(maps.requestHeaders).find(([name]) => name === "x-path"),
    ["x-path", "/theretransfer-encoding: chunkedGET /other"],
  );
  const given = [
    ["X-A", "1\r\nx-b: 2"],
    ["x c", "3"],
    ["x-d\r\nx-e", "4"],
    [":path", "/"],
  ] as const;
  assert.deepEqual(parsePairs(serializePairs(given)), [
    ["x-a", "1x-b: 2"],
    [":path", "/"],
  ]);
});

test("a module's own response is a final one, whatever status the module gives", async () => {
  // The operand of `i32.const`, before the address of the details.
  const [forbidden, proceed] = ["\x41\x93\x03\x41\xb0\x01", "\x41\xe4\x00\x41\xb0\x01"];
  const text = code.toString("latin1");
  assert.ok(text.includes(forbidden));
  using running = await RunningModule.start(Buffer.from(text.replace(forbidden, proceed), "latin1"));
  await running.open(withAction("deny"));
  assert.equal(running.effects.find((effect) => effect.kind === "reply")?.reply.status, 500);
});

test("a timer's calls, shared data and metrics reach their readers", async () => {
  using running = await RunningModule.start(code);
  await running.open(head);
  await running.open(head);
  assert.deepEqual(
    [...running.store.metrics()].map(({ name, value }) => [name, value]),
    [["test_requests", 2n]],
  );
  await until(() => Number(Buffer.from(running.store.get("test", "ticks").bytes ?? []).toString()) > 1);
});

test("each plugin of a module has its own configuration, also when streams of both are open", async () => {
  using running = await RunningModule.start(code, { configuration: "the first" });
  const first = await running.open(head);
  const plugin = { name: "other", rootId: "", configuration: Buffer.from("the second one") };
  running.root = await running.machine.configure(plugin, () => undefined);
  const second = await running.open(head);
  for (const [{ context }, expected] of [
    [first, "the first"],
    [second, "the second one"],
  ] as const) {
    await running.machine.event(context, { kind: "headers", side: "response", fields: [], end: true });
    assert.equal(running.fields(maps.responseHeaders).find(([name]) => name === "x-config")?.[1], expected);
  }
});

test("a module that refuses its configuration gets no context", async () => {
  using running = await RunningModule.start(code, { configuration: "refuse" });
  assert.equal(running.root, 0);
});

test("a deadline or a trap ends the module: later calls are rejected, and other modules continue", async () => {
  using other = await RunningModule.start(code);
  for (const [action, kind] of [
    ["loop", "deadline"],
    ["trap", "trap"],
  ] as const) {
    using running = await RunningModule.start(code, { deadlineMs: 300 });
    await assert.rejects(running.open(withAction(action)));
    assert.equal(running.failures[0], kind);
    assert.ok(running.machine.failed);
    await assert.rejects(running.open(head), /the module has failed/);
  }
  assert.equal((await other.open(head)).action, 0);
});

test("a module that needs more memory than the bound is ended", async () => {
  using running = await RunningModule.start(code);
  await assert.rejects(running.open(withAction("memory")));
  assert.ok(running.machine.failed);
});

test("code without the ABI's version mark, or with an unknown import, is rejected, and the error names it", async () => {
  const renamed = (from: string, to: string): Buffer =>
    Buffer.from(code.toString("latin1").replace(from, to), "latin1");
  for (const [bytes, reason] of [
    [renamed("proxy_abi_version_0_2_1", "proxy_abi_version_9_9_9"), /exports no proxy_abi_version/],
    [renamed("proxy_get_property", "proxy_get_propertx"), /imports env\.proxy_get_propertx, which is not supported/],
  ] as const)
    await assert.rejects(RunningModule.start(bytes), reason);
});
