// Generates generated/install/chart-values.json: the values of Istio's charts in one release, by chart, with their
// defaults. It reads a clone of github.com/istio/istio with its release branches.
//   node scripts/generate/chart-values.ts <clone>
// It lists the values of `values.yaml`, and, with null, those that templates read although `values.yaml` lacks them. It
// copies no text from Istio.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

const release = "1.31";
const folders = {
  base: "base",
  istiod: "istio-control/istio-discovery",
  cni: "istio-cni",
  ztunnel: "ztunnel",
  gateway: "gateway",
} as const;
/** Names that only templates use among themselves. They are not values. */
const internal = /^(_|defaults$|platform$|pilot$)/;

const clone = process.argv[2] ?? "";
if (clone === "") {
  console.error("usage: node scripts/generate/chart-values.ts <clone of istio/istio>");
  process.exit(2);
}

function git(...args: readonly string[]): string {
  return execFileSync("git", ["-C", clone, ...args], { encoding: "utf8", maxBuffer: 1 << 26 });
}

const branch = `release-${release}`;
const filesIn = (folder: string): string[] =>
  git("ls-tree", "--name-only", "-r", branch, folder)
    .split("\n")
    .filter((path) => path !== "");

/** Adds the values below `value` to `found` by their paths. Empty objects and lists are values, too. */
function leaves(value: unknown, path: string, found: Map<string, unknown>): Map<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value) || Object.keys(value).length === 0)
    found.set(path, value);
  else for (const [key, below] of Object.entries(value)) leaves(below, path === "" ? key : `${path}.${key}`, found);
  return found;
}

/** Returns the values that templates read. Some of them are objects whose fields `values.yaml` lists. */
function readBy(folder: string): string[] {
  const templates = [...filesIn(`${folder}/templates`), ...filesIn(`${folder}/files`)].filter(
    (path) => !/profile-|crd-all/.test(path),
  );
  const names = templates.flatMap((path) =>
    [...git("show", `${branch}:${path}`).matchAll(/\.Values\.([A-Za-z0-9_.]+)/g)].map(([, name = ""]) =>
      name.replace(/\.$/, ""),
    ),
  );
  return [...new Set(names)].filter((name) => !internal.test(name));
}

const charts = Object.entries(folders).map(([chart, path]) => {
  const folder = `manifests/charts/${path}`;
  const given = parse(git("show", `${branch}:${folder}/values.yaml`)) as Record<string, unknown>;
  const found = leaves(given["_internal_defaults_do_not_set"] ?? given, "", new Map());
  const listed = [...found.keys()];
  const isListed = (name: string): boolean =>
    listed.some((path) => path === name || path.startsWith(`${name}.`) || name.startsWith(`${path}.`));
  const extra = readBy(folder).filter((name) => !isListed(name));
  for (const name of extra) if (!extra.some((other) => other.startsWith(`${name}.`))) found.set(name, null);
  return [chart, Object.fromEntries([...found].toSorted(([left], [right]) => (left < right ? -1 : 1)))] as const;
});

const target = join(import.meta.dirname, "../..", "generated", "install", "chart-values.json");
writeFileSync(target, `${JSON.stringify({ release, charts: Object.fromEntries(charts) }, null, 1)}\n`);
console.log(`wrote ${target}`);
