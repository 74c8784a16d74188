// Builds the modules of test/wasm with the SDKs that users have (Rust's proxy-wasm and AssemblyScript's proxy-runtime),
// and runs each in the proxy's module host. Needs cargo with the target wasm32-wasip1, and npm. Run `node
// scripts/wasm-sdks.ts`. Its last line is JSON.
import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
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

/** Each module adds a field to the response's head, and refuses a request that asks for a refusal. */
const expected = { rust: { name: "x-by", value: "rust" }, assemblyscript: { name: "x-as", value: "a text" } };
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
  // The compiler writes a lockfile beside the sources.
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

async function tryModule(sdk: keyof typeof expected, code: Uint8Array): Promise<void> {
  using running = await RunningModule.start(code, { configuration: "a text" });
  const { context } = await running.open(head);
  await running.machine.event(context, { kind: "headers", side: "response", fields: [[":status", "200"]], end: true });
  const { name, value } = expected[sdk];
  const given = running.fields(maps.responseHeaders).some((field) => field[0] === name && field[1] === value);
  await running.open([...head, ["x-do", "deny"]]);
  const reply = running.effects.find((effect) => effect.kind === "reply")?.reply;
  const good = running.root !== 0 && given && reply?.status === 403;
  console.log(`${sdk}: ${code.length} bytes, ${good ? "runs" : "FAILS"}`);
  if (!good) failed.push(sdk);
}
