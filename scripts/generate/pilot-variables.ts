// Generates generated/istio/pilot-variables.json: the environment variables that Istio's control plane reads as feature
// flags in one release. It reads a clone of github.com/istio/istio with its release branches.
//   node scripts/generate/pilot-variables.ts <clone>
// The generated file holds only the names and the defaults, with null for a default that is not a literal.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const release = "1.31";
const clone = process.argv[2] ?? "";
if (clone === "") {
  console.error("usage: node scripts/generate/pilot-variables.ts <clone of istio/istio>");
  process.exit(2);
}

function git(...args: readonly string[]): string {
  return execFileSync("git", ["-C", clone, ...args], { encoding: "utf8", maxBuffer: 1 << 26 });
}

const branch = `release-${release}`;
const files = git("ls-tree", "--name-only", "-r", branch, "pilot/pkg/features", "pkg/features")
  .split("\n")
  .filter((path) => path.endsWith(".go") && !path.endsWith("_test.go"));
const registered = /env\.Register\w*(?:\[[^\]]*\])?\(\s*"([A-Z][A-Z0-9_]+)",\s*([^,\n]+),/g;
const found = files.flatMap((path) =>
  [...git("show", `${branch}:${path}`).matchAll(registered)].map(([, name = "", given = ""]) => {
    const literal = /^(?:"([^"]*)"|(true|false|-?\d+(?:\.\d+)?))$/.exec(given.trim());
    return [name, literal === null ? null : (literal[1] ?? literal[2] ?? "")] as const;
  }),
);
const variables = Object.fromEntries(found.toSorted(([left], [right]) => (left < right ? -1 : 1)));
const target = join(import.meta.dirname, "../..", "generated", "istio", "pilot-variables.json");
writeFileSync(target, `${JSON.stringify({ release, variables }, null, 1)}\n`);
console.log(`wrote ${Object.keys(variables).length} names to ${target}`);
