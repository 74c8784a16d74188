// Holds Serin against other people's programs: npm run interop [-- <peer> [--json] [more arguments]]
// Without a peer: brings all programs and runs every test of test/interop. With one, that peer's part alone:
//   envoy       each configuration of the corpus into a stock Envoy as sidecar, gateway and waypoint, then requests through it
//   comparison  what a real istiod (ISTIOD=<pilot-discovery>) sends for the same corpus, field by field
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const inNamespace = join(root, "test/interop/mesh/in-namespace.sh");
const programs = ["kubectls", "kube-apiserver", "helm", "kustomize", "envoy"];

/** Ends this process when the command fails. */
function run(program: string, args: readonly string[]): void {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: "inherit" });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

const [peer, ...rest] = process.argv.slice(2);
const mesh = (file: string): void => run(inNamespace, [process.execPath, join(root, "test/interop/mesh", file), ...rest]);
if (peer === undefined) {
  for (const program of programs) run(join(root, `scripts/fetch-${program}.sh`), []);
  run(process.execPath, [join(root, "scripts/test.ts"), "--only", "interop"]);
} else if (peer === "envoy") {
  run(join(root, "scripts/fetch-envoy.sh"), []);
  mesh("envoy-traffic.ts");
  mesh("envoy-corpus.ts");
} else if (peer === "comparison") {
  mesh("istiod-comparison.ts");
} else {
  process.stderr.write(`there is no peer "${peer}"; expected envoy or comparison, or none for all tests\n`);
  process.exit(1);
}
