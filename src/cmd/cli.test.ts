import assert from "node:assert/strict";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const timeoutMs = 60_000;
/** The program as users start it. It runs from the bundle, which starts in half of the time that the sources need. */
const serin = join(import.meta.dirname, "../../bin/serin");

/** Runs a line as a user would, without a cluster and with a standard input that is at its end. */
function typed(...words: readonly string[]): { readonly code: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(serin, words, {
    env: {
      PATH: process.env["PATH"],
      HOME: "/nonexistent",
      KUBECONFIG: "/nonexistent/config",
      // Without this variable, the program would create a directory for compiled code in the home directory.
      NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] ?? join(tmpdir(), "serin-compiled"),
      SERIN_BUNDLE: process.env["SERIN_BUNDLE"],
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
    ["help", "doctor"],
    ["help", "cluster", "create"],
  ]) {
    const { code, output } = typed(...words);
    assert.equal(code, 0, words.join(" "));
    assert.match(output, new RegExp(`serin ${words.find((word) => word !== "help") ?? ""}`));
    assert.doesNotMatch(output, /\[options\]/, words.join(" "));
  }
});

test("wrong use ends with 64, as in istioctl, a difference with 1, and what the command cannot find with 2", () => {
  for (const words of [
    ["nonsense"],
    ["upgrade", "nonsense"],
    ["analyze", "--nonsense"],
    ["analyze", "-o", "xml"],
    ["analyze", "--use-kube=false"],
    ["cluster", "nonsense"],
    ["doctor", "--nonsense"],
    ["release", "nonsense"],
  ]) {
    const { code, output } = typed(...words);
    assert.equal(code, 64, `${words.join(" ")}: ${output}`);
  }
  const misspelt = typed("doctor", "--kubernets").output;
  assert.match(misspelt, /^serin: doctor: there is no flag --kubernets; did you mean --kubernetes\?\n  hint: /);
  assert.equal(typed("profile", "diff", "default", "minimal").code, 1);
  assert.equal(typed("analyze", "--use-kube=false", "/nonexistent/route.yaml").code, 2);
  assert.equal(typed("tag", "list").code, 2);
  const releases = typed("release", "list");
  assert.deepEqual([releases.code, releases.output.split("\n")[0]], [2, "serin: there is no lab cluster"]);
  assert.deepEqual(typed("cluster", "list"), {
    code: 0,
    output: "there is no lab cluster; create one: serin cluster create\n",
  });
});

test("a time limit accepts a unit with every verb", () => {
  for (const words of [
    ["canary", "status", "reviews", "--timeout", "50s"],
    ["upgrade", "status", "to-2", "--timeout", "50s"],
  ])
    assert.match(typed(...words).output, /\/nonexistent\/config/, words.join(" "));
});

test("a command whose output cannot be written fails, and one whose reader has left does not", () => {
  const full = openSync("/dev/full", "w");
  const { status, stderr } = spawnSync(serin, ["manifest", "generate"], {
    stdio: ["ignore", full, "pipe"],
    encoding: "utf8",
    timeout: timeoutMs,
  });
  assert.deepEqual(
    [status, stderr],
    [1, "serin: cannot write to standard output: ENOSPC: no space left on device, write\n"],
  );
  const piped = `"${serin}" manifest generate | head -c 1; exit \${PIPESTATUS[0]}`;
  const line = spawnSync("bash", ["-c", piped], { timeout: timeoutMs });
  assert.equal(line.status, 0);
});

interface Typing {
  readonly words: readonly string[];
  readonly onOutput?: (child: ChildProcess) => void;
}

async function typedTo(
  answer: RequestListener,
  { words, onOutput }: Typing,
): Promise<{ readonly code: number | null; readonly errors: string }> {
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
  const child = spawn(serin, [...words, "-c", kubeconfig], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: timeoutMs,
  });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  child.stdout.on("data", () => onOutput?.(child));
  const [code] = (await once(child, "close")) as [number | null];
  server.closeAllConnections();
  server.close();
  rmSync(directory, { recursive: true });
  return { code, errors };
}

test("a command that watches ends when the reader of its output has left", async () => {
  let generation = 0;
  const { code, errors } = await typedTo(
    ({ url = "" }, response) => {
      generation += 1;
      const metadata = { name: "reviews", namespace: "default", generation };
      const canary = { apiVersion: "rollout.serin.dev/v1alpha1", kind: "Canary", metadata, spec: {} };
      const isList = /canaries(\?|$)/.test(url);
      response.end(JSON.stringify(isList ? { metadata: { resourceVersion: "1" }, items: [canary] } : canary));
    },
    {
      words: ["canary", "status", "reviews", "-w", "-o", "json"],
      onOutput: ({ stdout }) => void stdout?.destroy(),
    },
  );
  assert.deepEqual([code, errors], [141, ""]);
});

test("the doctor accepts the flags of every verb before its name", () => {
  assert.match(typed("-c", "/nonexistent/other", "doctor", "--kubernetes").output, /kubeconfig \/nonexistent\/other/);
});

test("a verb below another may have the name of a command of the lab", () => {
  for (const flag of ["-nshop", "--json"])
    assert.doesNotMatch(typed(flag, "pc", "cluster", "web-1").output, /unexpected argument/, flag);
});

test("the doctor asks in the name of the user in the flags", async () => {
  const seen = new Set<string>();
  await typedTo(
    ({ headers }, response) => {
      seen.add(`${String(headers["impersonate-user"])} ${String(headers["impersonate-group"])}`);
      response.writeHead(403).end();
    },
    { words: ["doctor", "--kubernetes", "--as", "jane", "--as-group", "dev", "--as-group", "ops"] },
  );
  assert.deepEqual([...seen], ["jane dev, ops"]);
});

test("an API server that does not answer is given up after the time in the flag, by a verb and by the doctor", async () => {
  const silent: RequestListener = () => undefined;
  for (const words of [["remote-clusters"], ["doctor", "--kubernetes"]])
    assert.match(
      (await typedTo(silent, { words: [...words, "--kubeclient-timeout", "50ms"] })).errors,
      /no answer within 50 ms/,
    );
});

test("a verb and the doctor say after some seconds that the API server has not answered", async () => {
  const silent: RequestListener = () => undefined;
  const ends = [["remote-clusters"], ["doctor", "--kubernetes"]].map(
    async (words) => (await typedTo(silent, { words: [...words, "--kubeclient-timeout", "4s"] })).errors,
  );
  for (const errors of await Promise.all(ends))
    assert.match(
      errors,
      /^  the API server at http:\S+: no answer yet to the [^\n]+; the limit is 4 s\nserin: [^\n]+: no answer within 4 s\n  hint: .* longer --kubeclient-timeout/,
    );
});
