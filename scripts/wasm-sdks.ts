// Builds the modules of test/wasm with the SDKs that users have (Rust's proxy-wasm and AssemblyScript's proxy-runtime),
// and runs each in the proxy's module host. Needs cargo with the target wasm32-wasip1, and npm. The last line of its
// output is JSON.
//   node scripts/wasm-sdks.ts
import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { maps } from "../src/proxy/wasm/abi.ts";
import { RunningModule } from "../src/proxy/wasm/testing/run-module.ts";

const root = join(import.meta.dirname, "..");
const sources = join(root, "test", "wasm");
const cache = join(root, ".cache", "wasm-sdks");
const packages = ["assemblyscript@0.14.9", "@solo-io/proxy-runtime@0.1.8"];
const head = [
  [":method", "GET"],
  [":path", "/"],
] as const;

type Sdk = "rust" | "assemblyscript";
/** For each fact about a module, whether it holds. */
type Facts = Record<string, boolean>;

const facts: Readonly<Record<Sdk, (code: Uint8Array) => Promise<Facts>>> = {
  rust: rustFacts,
  assemblyscript: assemblyScriptFacts,
};
/** The time limit of a module's start and of a request. It is long enough for a busy machine. */
const deadlineMs = 5000;
const failed: string[] = [];
mkdirSync(join(cache, "assembly"), { recursive: true });
for (const [sdk, path] of [
  ["rust", buildRust()],
  ["assemblyscript", buildAssemblyScript()],
] as const)
  await tryModule(sdk, readFileSync(path));
console.log(JSON.stringify({ modules: 2, failed }));
process.exitCode = failed.length === 0 ? 0 : 1;

function buildRust(): string {
  const project = join(cache, "rust");
  // Build a copy, because the compiler writes a lockfile beside the sources.
  cpSync(join(sources, "rust"), project, { recursive: true });
  execFileSync("cargo", ["build", "--release", "--target", "wasm32-wasip1"], { cwd: project, stdio: "inherit" });
  return join(project, "target", "wasm32-wasip1", "release", "header_plugin.wasm");
}

function buildAssemblyScript(): string {
  writeFileSync(join(cache, "package.json"), JSON.stringify({ private: true }));
  copyFileSync(join(sources, "assemblyscript", "module.as"), join(cache, "assembly", "index.ts"));
  execFileSync("npm", ["install", "--no-audit", "--no-fund", ...packages], { cwd: cache, stdio: "inherit" });
  const compiler = join(cache, "node_modules", ".bin", "asc");
  execFileSync(compiler, ["assembly/index.ts", "-b", "module.wasm", "--use", "abort=abort_proc_exit", "--optimize"], {
    cwd: cache,
    stdio: "inherit",
  });
  return join(cache, "module.wasm");
}

async function tryModule(sdk: Sdk, code: Uint8Array): Promise<void> {
  const found = Object.entries(await facts[sdk](code));
  const wrong = found.filter(([, holds]) => !holds).map(([fact]) => fact);
  console.log(`${sdk}: ${code.length} bytes, ${found.length - wrong.length} of ${found.length} facts hold`);
  for (const fact of wrong) console.log(`  FAILED ${fact}`);
  failed.push(...wrong.map((fact) => `${sdk}: ${fact}`));
}

function has(running: RunningModule, map: number, name: string, value: string): boolean {
  return running.fields(map).some((field) => field[0] === name && field[1] === value);
}

/** Sends a request that the module must refuse. Returns the status of the module's own response. */
async function refusal(running: RunningModule): Promise<number | undefined> {
  await running.open([...head, ["x-do", "deny"]]);
  return running.effects.find((effect) => effect.kind === "reply")?.reply.status;
}

async function rustFacts(code: Uint8Array): Promise<Facts> {
  using running = await RunningModule.start(code, {
    deadlineMs,
    configuration: "a text",
    callCluster: ({ path }) => Promise.resolve({ status: 200, headers: [], body: Buffer.from(`asked ${path}`) }),
  });
  const { machine, store, effects, logs } = running;
  const { context } = await running.open(head, false);
  const found: Facts = {
    "a module starts and logs": running.root !== 0 && logs.includes("the module starts"),
    "it reads its configuration": has(running, maps.requestHeaders, "x-config", "a text"),
    "it reads a property": has(running, maps.requestHeaders, "x-path", "/there"),
  };
  const body = { kind: "body", end: true } as const;
  const unchanged = await machine.event(context, { ...body, side: "request", bytes: Buffer.from("asked") });
  found["a body that it does not change passes"] = unchanged.body === undefined || text(unchanged.body) === "asked";
  await machine.event(context, { kind: "headers", side: "response", fields: [[":status", "200"]], end: false });
  found["it adds to a response's head"] = has(running, maps.responseHeaders, "x-by", "rust");
  const answered = await machine.event(context, { ...body, side: "response", bytes: Buffer.from("hello") });
  found["it changes a response's body"] = text(answered.body) === "HELLO";
  found["it refuses a request"] = (await refusal(running)) === 403;
  await running.open([...head, ["x-do", "call"]]);
  found["it asks a cluster while the request waits"] = await soon(
    () => has(running, maps.requestHeaders, "x-called", "200 asked /asked") && effects.at(-1)?.kind === "continue",
  );
  found["its timer runs and shares data"] = await soon(() => Number(text(store.get("test", "ticks").bytes)) > 1);
  found["it counts"] = [...store.metrics()].some(({ name, value }) => name === "rust_requests" && value === 3n);
  for (const fault of ["panic", "loop"] as const) {
    using failing = await RunningModule.start(code, { deadlineMs });
    const ended = await failing.open([...head, ["x-do", fault]]).then(
      () => false,
      () => true,
    );
    found[`a ${fault} ends it`] = ended && failing.machine.failed;
  }
  using refusing = await RunningModule.start(code, { deadlineMs, configuration: "refuse" });
  found["it refuses a configuration"] = refusing.root === 0;
  return found;
}

async function assemblyScriptFacts(code: Uint8Array): Promise<Facts> {
  using running = await RunningModule.start(code, { deadlineMs, configuration: "a text" });
  const { context } = await running.open(head);
  const found: Facts = {
    "a module starts": running.root !== 0,
    "it adds to a request's head": has(running, maps.requestHeaders, "x-as", "request"),
  };
  await running.machine.event(context, { kind: "headers", side: "response", fields: [[":status", "200"]], end: true });
  found["it reads its configuration, and adds to a response's head"] = has(
    running,
    maps.responseHeaders,
    "x-as",
    "a text",
  );
  found["it logs"] = running.logs.includes("the answer has a header more");
  found["it refuses a request"] = (await refusal(running)) === 403;
  return found;
}

function text(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString();
}

async function soon(holds: () => boolean): Promise<boolean> {
  for (let tried = 0; tried < 100 && !holds(); tried += 1) await sleep(50);
  return holds();
}
