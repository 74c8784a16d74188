import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { createLogger } from "../../base/index.ts";
import type { PluginHandler, PodAttachment } from "./plugin-call.ts";
import { pluginProgram } from "./plugin-program.ts";
import { PluginServer } from "./plugin-server.ts";

const pod = {
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/var/run/netns/cni-1",
  CNI_IFNAME: "eth0",
  CNI_ARGS: "K8S_POD_NAME=web;K8S_POD_NAMESPACE=shop",
};

/** Writes the program to disk. Returns its path, and the path of the socket that it connects to. */
function programIn(
  context: TestContext,
  options: { readonly waitMs?: number } = {},
): { readonly path: string; readonly socketPath: string } {
  const directory = mkdtempSync(join(tmpdir(), "serin-plugin-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const [path, socketPath] = [join(directory, "serin-cni"), join(directory, "agent.sock")];
  writeFileSync(path, pluginProgram({ architecture: process.arch, socketPath, ...options }), { mode: 0o755 });
  return { path, socketPath };
}

async function serve(context: TestContext, socketPath: string, handler: Partial<PluginHandler>): Promise<void> {
  const nothing = (): Promise<void> => Promise.resolve();
  const whole = { add: nothing, check: nothing, delete: nothing, status: nothing, collect: nothing, ...handler };
  const server = new PluginServer(socketPath, whole, createLogger({ scope: "test", write: () => undefined }));
  await server.listen();
  context.after(() => server.close());
}

async function run(
  path: string,
  command: string,
  input: string,
  environment: Readonly<Record<string, string>> = pod,
): Promise<{ readonly code: number | null; readonly text: string }> {
  const env = { HOME: "/", CNI_COMMAND: command, ...environment, CNIX: "not ours" };
  const child = spawn(path, [], { env, stdio: ["pipe", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, text };
}

test("the plugin passes the runtime's variables and input to the agent, and returns its answer", async (context) => {
  const { path, socketPath } = programIn(context);
  const seen: PodAttachment[] = [];
  await serve(context, socketPath, { add: (attachment) => Promise.resolve(void seen.push(attachment)) });
  // A result that is longer than a pipe or a socket accepts at once.
  const prevResult = { cniVersion: "1.0.0", ips: [{ address: "10.0.0.5/24" }], long: "x".repeat(500_000) };
  const { code, text } = await run(path, "ADD", JSON.stringify({ cniVersion: "1.0.0", prevResult }));
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(text), prevResult);
  assert.deepEqual(seen, [
    {
      containerId: "c1",
      netnsPath: "/var/run/netns/cni-1",
      podName: "web",
      podNamespace: "shop",
      podUid: "",
      addresses: ["10.0.0.5"],
    },
  ]);
});

test("only the agent's own user may call the agent, whatever its umask is", async (context) => {
  const { socketPath } = programIn(context);
  const before = process.umask(0);
  context.after(() => process.umask(before));
  await serve(context, socketPath, {});
  assert.equal((statSync(socketPath).mode & 0o777).toString(8), "600");
});

test("the plugin returns the agent's refusal and its exit code", async (context) => {
  const { path, socketPath } = programIn(context);
  await serve(context, socketPath, { add: () => Promise.reject(new Error("not this pod")) });
  const { code, text } = await run(path, "ADD", '{"cniVersion":"1.0.0"}');
  assert.equal(code, 1);
  assert.equal((JSON.parse(text) as { msg: string }).msg, "not this pod");
});

test("the plugin waits for an agent that is being replaced", async (context) => {
  const { path, socketPath } = programIn(context);
  const running = run(path, "ADD", '{"cniVersion":"1.0.0"}');
  await new Promise((resolve) => setTimeout(resolve, 300));
  await serve(context, socketPath, {});
  assert.deepEqual(await running, { code: 0, text: '{"cniVersion":"1.0.0"}' });
});

test("the plugin sends its request again if the agent ends before its answer", async (context) => {
  const { path, socketPath } = programIn(context);
  let calls = 0;
  const ending = createServer({ allowHalfOpen: true }, (socket) => {
    calls += 1;
    socket.on("error", () => undefined);
    // The server ends the first connection while the program sends, and the second one while it waits.
    if (calls === 1) socket.destroy();
    else socket.resume().once("end", () => ending.close());
    if (calls === 2) socket.once("end", () => socket.destroy());
  });
  ending.listen(socketPath);
  await once(ending, "listening");
  const ended = once(ending, "close");
  const prevResult = { cniVersion: "1.0.0", long: "x".repeat(500_000) };
  const running = run(path, "ADD", JSON.stringify({ cniVersion: "1.0.0", prevResult }));
  await ended;
  await serve(context, socketPath, {});
  const { code, text } = await running;
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(text), prevResult);
  assert.equal(calls, 2);
});

test("the plugin fails ADD without an agent, but not deletions and VERSION, and its node stays ready", async (context) => {
  const { path } = programIn(context, { waitMs: 1_000 });
  const [add, check, status, version, deleted, collected] = await Promise.all(
    ["ADD", "CHECK", "STATUS", "VERSION", "DEL", "GC"].map((command) => run(path, command, '{"cniVersion":"1.0.0"}')),
  );
  for (const result of [add, check]) {
    assert.equal(result?.code, 1);
    const answer = JSON.parse(result.text) as { code: number; msg: string; details: string };
    assert.equal(answer.code, 11);
    assert.match(answer.msg, /does not answer/);
    assert.match(answer.details, /agent\.sock.*istio-cni-node.*remove the plugin serin-cni from the node/);
  }
  assert.equal(version?.code, 0);
  assert.deepEqual((JSON.parse(version.text) as { supportedVersions: string[] }).supportedVersions.at(-1), "1.1.0");
  for (const result of [status, deleted, collected]) assert.deepEqual(result, { code: 0, text: "" });
});

test("the plugin starts no pod after a truncated answer or with an endless input", async (context) => {
  const { path, socketPath } = programIn(context);
  const half = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => undefined);
    socket.resume().once("end", () => socket.end(Buffer.from([9, 0, 0, 0, 0, 0, 0, 0, 0x7b])));
  });
  half.listen(socketPath);
  await once(half, "listening");
  context.after(() => half.close());
  const { code, text } = await run(path, "ADD", '{"cniVersion":"1.0.0"}');
  assert.equal(code, 1);
  assert.equal((JSON.parse(text) as { code: number }).code, 11);
  assert.equal((await run(path, "ADD", "x".repeat(2 << 20))).code, 1);
  assert.equal((await run(path, "ADD", "{}", { CNI_ARGS: "x".repeat(100_000) })).code, 1);
});

test("the plugin is small, reproducible, and built for both processors", () => {
  const socketPath = "/var/run/istio-cni/serin-cni.sock";
  for (const [architecture, machine] of [
    ["x64", 62],
    ["arm64", 183],
  ] as const) {
    const program = pluginProgram({ architecture, socketPath });
    assert.ok(program.length < 4096, `${architecture}: ${program.length} bytes`);
    assert.equal(new DataView(program.buffer).getUint16(18, true), machine);
    assert.deepEqual(pluginProgram({ architecture, socketPath }), program);
  }
  assert.throws(() => pluginProgram({ architecture: "s390x", socketPath }), /no CNI plugin for s390x/);
  assert.throws(() => pluginProgram({ architecture: "x64", socketPath: `/${"x".repeat(200)}` }), /more than 107 bytes/);
});
