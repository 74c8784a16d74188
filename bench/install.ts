// Measures an installation in a lab until every pod of istio-system is ready.
//   node bench/install.ts [--rounds 3] [--profile ambient] [--json]
// The bench creates its own lab and deletes it at the end. Between rounds, it uninstalls everything.
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { benchOptions } from "../scripts/arguments/bench-options.ts";
import { scratchFolder } from "./scratch-folder.ts";

const serin = join(import.meta.dirname, "../bin/serin");
const cluster = `bench-install-${process.pid}`;
const targetMs = 5000;
const commandTimeoutMs = 300_000;
const pollMs = 50;

const options = benchOptions("npm run bench:install --", { rounds: 3, profile: "ambient", json: false });
const home = scratchFolder();

/**
 * Runs a program with its own HOME and returns its standard output. If the program fails, throws an error with all its
 * output.
 */
async function run(command: readonly string[]): Promise<string> {
  const [program = "", ...args] = command;
  const child = spawn(program, args, {
    env: { ...process.env, HOME: home, XDG_STATE_HOME: join(home, "state"), KUBECONFIG: join(home, "kubeconfig") },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: commandTimeoutMs,
  });
  let [output, errors] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString("utf8")));
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString("utf8")));
  const code = await new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve(status ?? 137));
  });
  if (code !== 0) throw new Error(`${command.join(" ")}: exit code ${code}\n${output}${errors}`);
  return output;
}

const inLab = async (...command: readonly string[]): Promise<string> =>
  await run([serin, "cluster", "shell", "--name", cluster, "--", ...command]);

interface Pod {
  readonly metadata: { readonly name: string };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

async function podsOf(namespace: string): Promise<readonly Pod[]> {
  return (
    JSON.parse(await inLab("kubectl", "-n", namespace, "get", "pods", "-o", "json")) as {
      readonly items: readonly Pod[];
    }
  ).items;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, pollMs));
}

const isReady = ({ status }: Pod): boolean =>
  status?.conditions?.some(({ type, status: holds }) => type === "Ready" && holds === "True") === true;

interface Round {
  /** The time from the start of `serin install` to its end. */
  readonly installMs: number;
  /** The time from the start of `serin install` until kubectl showed every pod as ready. */
  readonly readyMs: number;
  readonly pods: number;
}

async function round(): Promise<Round> {
  const beganMs = performance.now();
  await inLab(serin, "install", "--set", `profile=${options.profile}`, "-y");
  const installMs = performance.now() - beganMs;
  let pods: readonly Pod[] = [];
  await until(async () => {
    pods = await podsOf("istio-system");
    return pods.every(isReady);
  });
  const readyMs = performance.now() - beganMs;
  await inLab(serin, "uninstall", "--purge", "-y");
  await until(async () => (await podsOf("istio-system")).length === 0);
  return { installMs: Math.round(installMs), readyMs: Math.round(readyMs), pods: pods.length };
}

try {
  await run([serin, "cluster", "create", "--name", cluster]);
  const rounds: Round[] = [];
  for (let index = 0; index < options.rounds; index += 1) rounds.push(await round());
  const best = Math.min(...rounds.map(({ readyMs }) => readyMs));
  if (options.json) process.stdout.write(`${JSON.stringify({ profile: options.profile, targetMs, rounds })}\n`);
  else {
    for (const { installMs, readyMs, pods } of rounds)
      process.stdout.write(`install ${installMs} ms, all ${pods} pods ready after ${readyMs} ms\n`);
    process.stdout.write(`best ${best} ms; the target is ${targetMs} ms: ${best <= targetMs ? "met" : "missed"}\n`);
  }
} finally {
  await run([serin, "cluster", "delete", "--name", cluster]).catch((error: unknown) =>
    process.stderr.write(`${String(error)}\n`),
  );
  rmSync(home, { recursive: true, force: true });
}
