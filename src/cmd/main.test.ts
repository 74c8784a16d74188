import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ServerHarness } from "../cluster/apiserver/testing/index.ts";

/** The program as users start it. It runs from the bundle, which starts in half of the time that the sources need. */
const serin = join(import.meta.dirname, "../../bin/serin");

test("a control plane that cannot start ends with its error, although its watches have already started", async () => {
  const harness = await new ServerHarness().start();
  const { ca, cert, key } = harness.credentials();
  const encoded = (text: string): string => Buffer.from(text).toString("base64");
  const kubeconfig = join(harness.directory, "kubeconfig");
  const server = { server: `https://127.0.0.1:${harness.port}`, "certificate-authority-data": encoded(ca) };
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      clusters: [{ name: "c", cluster: server }],
      users: [{ name: "u", user: { "client-certificate-data": encoded(cert), "client-key-data": encoded(key) } }],
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
      "current-context": "c",
    }),
  );
  const child = spawn(serin, ["pilot", "discovery", "--ctrlz_port=0"], {
    env: { ...process.env, KUBECONFIG: kubeconfig },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let errors = "";
  const reported = Promise.withResolvers<void>();
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
    if (errors.includes('namespaces "istio-system" not found')) reported.resolve();
  });
  const closed = once(child, "close") as Promise<[number | null, string | null]>;
  await Promise.race([reported.promise, closed]);
  // If the fault is back, the process waits for its watches for more than a minute.
  const limit = setTimeout(() => child.kill("SIGKILL"), 30_000);
  const [code, signal] = await closed;
  clearTimeout(limit);
  assert.deepEqual({ code, signal }, { code: 2, signal: null }, errors);
  await harness.remove();
});

test("a command that is interrupted twice ends, although the API server is silent, and prints no error", async () => {
  const connected = Promise.withResolvers<void>();
  const silent = createServer((socket) => {
    socket.on("error", () => undefined);
    connected.resolve();
  }).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const directory = mkdtempSync(join(tmpdir(), "serin-interrupted-"));
  const kubeconfig = join(directory, "kubeconfig");
  const { port } = silent.address() as AddressInfo;
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      clusters: [{ name: "c", cluster: { server: `https://127.0.0.1:${port}`, "insecure-skip-tls-verify": true } }],
      users: [{ name: "u", user: { token: "t" } }],
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
      "current-context": "c",
    }),
  );
  const child = spawn(serin, ["proxy-status"], {
    env: { ...process.env, KUBECONFIG: kubeconfig },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  const closed = once(child, "close");
  await Promise.race([connected.promise, closed]);
  child.kill("SIGINT");
  // The process must have handled the first signal. The kernel merges a second one that comes earlier.
  await new Promise((resolve) => setTimeout(resolve, 100));
  child.kill("SIGINT");
  assert.deepEqual(await closed, [130, null], errors);
  assert.equal(errors, "serin: interrupted\n");
  silent.close();
  rmSync(directory, { recursive: true });
});

test("a command's error writes out the control characters of the texts in it", async () => {
  const child = spawn(serin, ["validate", "-f", "/nonexistent\u001B]0;title\u0007\u001B[2J.yaml"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  await once(child, "close");
  assert.match(errors, /nonexistent\\x1b\]0;title\\x07\\x1b\[2J\.yaml/);
});
