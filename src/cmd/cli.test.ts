import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const timeoutMs = 60_000;

/** A line as a user types it, with a standard input that has ended and no cluster. */
function typed(...words: readonly string[]): { readonly code: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, "main.ts"), ...words], {
    env: {
      PATH: process.env["PATH"],
      HOME: "/nonexistent",
      KUBECONFIG: "/nonexistent/config",
      NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"],
    },
    stdio: ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    timeout: timeoutMs,
  });
  return { code: status, output: stdout + stderr };
}

test("a question without a terminal is answered with no", () => {
  const program = `import { confirm } from ${JSON.stringify(join(import.meta.dirname, "cli.ts"))};
    console.log(await confirm("Proceed?"));`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    timeout: timeoutMs,
  });
  assert.deepEqual([status, stdout], [0, "false\n"], stderr);
});

test("help of the lab's verbs, of the doctor and of processes is printed, and nothing runs", () => {
  for (const words of [
    ["ztunnel", "--help"],
    ["cluster-apiserver", "-h"],
    ["cluster", "create", "--help"],
    ["doctor", "--help"],
  ]) {
    const { code, output } = typed(...words);
    assert.equal(code, 0, words.join(" "));
    assert.match(output, new RegExp(`serin ${words[0] ?? ""}`));
  }
});

test("a time limit accepts a unit with every verb", () => {
  for (const words of [
    ["canary", "status", "reviews", "--timeout", "50s"],
    ["upgrade", "status", "to-2", "--timeout", "50s"],
  ])
    assert.match(typed(...words).output, /\/nonexistent\/config/, words.join(" "));
});

/** The standard error of a line whose API server answers in this way. */
async function typedTo(answer: RequestListener, ...words: readonly string[]): Promise<string> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  const directory = mkdtempSync(join(tmpdir(), "serin-cli-"));
  const kubeconfig = join(directory, "config");
  const cluster = { server: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      "current-context": "c",
      clusters: [{ name: "c", cluster }],
      contexts: [{ name: "c", context: { cluster: "c" } }],
    }),
  );
  const child = spawn(process.execPath, [join(import.meta.dirname, "main.ts"), ...words, "-c", kubeconfig], {
    stdio: ["ignore", "ignore", "pipe"],
    timeout: timeoutMs,
  });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  await once(child, "close");
  server.closeAllConnections();
  server.close();
  rmSync(directory, { recursive: true });
  return errors;
}

test("the doctor asks in the name of the user in the flags", async () => {
  const seen = new Set<string>();
  await typedTo(
    ({ headers }, response) => {
      seen.add(`${String(headers["impersonate-user"])} ${String(headers["impersonate-group"])}`);
      response.writeHead(403).end();
    },
    ...["doctor", "--kubernetes", "--as", "jane", "--as-group", "dev", "--as-group", "ops"],
  );
  assert.deepEqual([...seen], ["jane dev, ops"]);
});

test("an API server that does not answer is given up after the time in the flag, by a verb and by the doctor", async () => {
  const silent: RequestListener = () => undefined;
  for (const words of [["remote-clusters"], ["doctor", "--kubernetes"]])
    assert.match(await typedTo(silent, ...words, "--kubeclient-timeout", "50ms"), /no answer within 50 ms/);
});
