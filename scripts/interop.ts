// Compares Serin with other projects' programs.
//   npm run interop [-- <peer> [--json] [more arguments]]
// Without a peer: fetches all programs, runs test/interop part by part, and ends with a summary. With a peer, runs only
// that peer's part:
//   envoy       loads each configuration of the corpus into a stock Envoy as sidecar, gateway and waypoint, and sends requests through it
//   differential  sends the same bytes to our proxy and to a stock Envoy, and reports the differences
//   istio-suite  runs Istio's own integration tests in a lab; takes hours, and is resumable (--help)
//   comparison  compares, field by field, with what a real istiod (ISTIOD=<pilot-discovery>) sends for the same corpus
import { spawn, spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";
import { endsWithThis } from "./lab/ends-with-this.ts";
import { runWithLab } from "./lab/run-with-lab.ts";

const root = join(import.meta.dirname, "..");
const inNamespace = join(root, "test/interop/mesh/in-namespace.sh");
const programs = ["registry", "kubectls", "kube-apiserver", "helm", "kustomize", "envoy", "gateway-conformance"];

interface Part {
  /** The test is `test/interop/<name>.test.ts`. */
  readonly name: string;
  readonly title: string;
  /** The environment variable that names the peer's binary, for a peer that no package registry offers. */
  readonly peer?: "ISTIOD" | "ISTIOCTL" | "ZTUNNEL";
}

/** The parts, the quick ones first. */
const parts: readonly Part[] = [
  { name: "prometheus", title: "Prometheus" },
  { name: "registry", title: "CNCF's registry" },
  { name: "grpc-xds", title: "grpc-js-xds" },
  { name: "istio-analyzers", title: "Istio's analyzers' own inputs", peer: "ISTIOD" },
  { name: "ztunnel", title: "real ztunnel", peer: "ZTUNNEL" },
  { name: "networks", title: "two clusters, two networks" },
  { name: "envoy", title: "stock Envoy in a lab" },
  { name: "differential", title: "stock Envoy, byte by byte" },
  { name: "envoy-formats", title: "stock Envoy, formats of headers" },
  { name: "lua", title: "stock Envoy, scripts" },
  { name: "sessions", title: "stock Envoy, sessions" },
  { name: "istioctl", title: "real istioctl", peer: "ISTIOCTL" },
  { name: "charts", title: "Helm 3 and 4" },
  { name: "kube-apiserver", title: "real API server" },
  { name: "istiod", title: "real istiod in a lab", peer: "ISTIOD" },
  { name: "gateway-conformance", title: "Gateway API conformance" },
  { name: "walkthroughs", title: "walkthroughs on a real API server" },
  { name: "istiod-resources", title: "corpus under a real istiod", peer: "ISTIOD" },
];

interface Outcome {
  readonly passed: number;
  readonly failed: number;
  /** The cases that did not run, or the whole part, each with the reason. */
  readonly notRun: readonly string[];
}

/** Runs every part, even after one failed. Returns whether all of them passed. */
async function runParts(): Promise<boolean> {
  const known = new Set(parts.map(({ name }) => `${name}.test.ts`));
  const forgotten = globSync("*.test.ts", { cwd: join(root, "test/interop") }).filter((file) => !known.has(file));
  if (forgotten.length > 0) throw new Error(`test/interop has files that belong to no part: ${forgotten.join(", ")}`);
  const lines: string[] = [];
  let isGood = true;
  for (const part of parts) {
    process.stdout.write(`\n${part.title}: test/interop/${part.name}.test.ts\n`);
    const { passed, failed, notRun } = await outcomeOf(part);
    isGood &&= failed === 0 && passed + notRun.length > 0;
    lines.push(
      `${part.title.padEnd(36)}${String(passed + failed).padStart(5)} ran ${String(failed).padStart(4)} failed ${String(notRun.length).padStart(4)} not run${notRun.map((why) => `\n    not run: ${why}`).join("")}`,
    );
  }
  process.stdout.write(`\n${lines.join("\n")}\n`);
  return isGood;
}

async function outcomeOf({ name, peer }: Part): Promise<Outcome> {
  if (peer !== undefined && (process.env[peer] ?? "") === "")
    return { passed: 0, failed: 0, notRun: [`the whole part: ${peer} names no program`] };
  const child = spawn(
    ...endsWithThis(
      process.execPath,
      join(root, "scripts/test.ts"),
      "--only",
      "interop",
      `test/interop/${name}.test.ts`,
    ),
    { cwd: root, stdio: ["ignore", "pipe", "inherit"] },
  );
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    process.stdout.write(text);
  });
  await new Promise((resolve) => child.once("close", resolve));
  const [, passed = "0", failed = "1"] = /(\d+) passed, (\d+) failed\s*$/.exec(output) ?? [];
  return {
    passed: Number(passed),
    failed: Number(failed),
    notRun: [...output.matchAll(/^not run: (.*)$/gm)].map(([, why = ""]) => why),
  };
}

/** Runs a command. Ends this process if it fails. */
function run(program: string, args: readonly string[]): void {
  const { status, error } = spawnSync(...endsWithThis(program, ...args), { cwd: root, stdio: "inherit" });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

const [peer, ...rest] = process.argv.slice(2);
const mesh = (file: string): void => inNamespaceRun(join("mesh", file));
function inNamespaceRun(file: string): void {
  run(inNamespace, [process.execPath, join(root, "test/interop", file), ...rest]);
}
if (peer === undefined) {
  for (const program of programs) run(join(root, `scripts/fetch/${program}.sh`), []);
  if (!(await runParts())) process.exitCode = 1;
} else if (peer === "envoy") {
  run(join(root, "scripts/fetch/envoy.sh"), []);
  mesh("envoy-traffic.ts");
  mesh("envoy-corpus.ts");
} else if (peer === "differential") {
  run(join(root, "scripts/fetch/envoy.sh"), []);
  inNamespaceRun("differential/differential-judge.ts");
} else if (peer === "istio-suite") {
  process.exitCode = await runWithLab([process.execPath, join(root, "scripts/istio-suite.ts"), ...rest]);
} else if (peer === "comparison") {
  mesh("istiod-comparison.ts");
} else {
  process.stderr.write(
    `there is no peer "${peer}"; expected envoy, differential, istio-suite or comparison, or none for all tests\n`,
  );
  process.exit(1);
}
