// The charts of the suites of helm: Serin's in the place of upstream's, and a repository with those of a former release.
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { root, type LabCluster } from "../../test/support/lab-cluster.ts";
import type { Suite } from "./suites.ts";

/** Where upstream's sources have the chart that a package of ours takes the place of. */
const placeOf: Readonly<Record<string, string>> = {
  base: "base",
  istiod: "istio-control/istio-discovery",
  gateway: "gateway",
  cni: "istio-cni",
  ztunnel: "ztunnel",
};
const repositoryPort = 8879;

/** The address of the former release's charts inside the lab. */
export const formerCharts = `http://127.0.0.1:${String(repositoryPort)}`;

export function usesCharts({ name }: Suite): boolean {
  return name.startsWith("helm.");
}

/** A tree like upstream's sources, but with this checkout's charts. Returns its directory. */
export async function sourceWithCharts(source: string, lab: LabCluster): Promise<string> {
  const tree = join(lab.directory, "source");
  mkdirSync(tree);
  for (const entry of readdirSync(source))
    if (entry !== "manifests") symlinkSync(join(source, entry), join(tree, entry));
  const packages = join(lab.directory, "charts");
  await lab.ok([lab.serin, "charts", "package", packages]);
  for (const file of readdirSync(packages)) {
    const place = placeOf[file.split("-")[0] ?? ""];
    if (place === undefined || !file.endsWith(".tgz")) continue;
    const directory = join(tree, "manifests/charts", place);
    mkdirSync(directory, { recursive: true });
    await lab.ok(["tar", "-xzf", join(packages, file), "-C", directory, "--strip-components=1"]);
  }
  return tree;
}

/** Serves the former release's charts in the lab, until the process ends. */
export function serveFormerCharts(builds: string, lab: LabCluster): ChildProcess | undefined {
  const charts = join(builds, "former-charts");
  if (!existsSync(charts)) return undefined;
  const server = join(root, "test/interop/istio-suite/web-server.ts");
  return lab.spawnInShell([process.execPath, server, "-f", "-p", String(repositoryPort), "-h", charts]);
}
