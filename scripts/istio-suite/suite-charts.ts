// The charts for Istio's suites of Helm: Serin's charts in place of Istio's, and a repository with the charts of former
// releases.
import type { ChildProcess } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { root, type LabCluster } from "../../test/support/lab-cluster.ts";
import { eventually } from "../../test/support/eventually.ts";
import type { Suite } from "./suites.ts";

/** For each chart of ours, the folder of the Istio chart that it replaces. */
const placeOf: Readonly<Record<string, string>> = {
  base: "base",
  istiod: "istio-control/istio-discovery",
  gateway: "gateway",
  cni: "istio-cni",
  ztunnel: "ztunnel",
};
const repositoryPort = 8879;
/** The releases from which the tests upgrade: one and two minor versions before that of Istio's sources. */
const formerReleases = ["1.29.0", "1.30.0"];
const formerHub = "registry.istio.io/release";

/** The address of the former releases' charts inside the lab. */
export const formerCharts = `http://127.0.0.1:${String(repositoryPort)}`;

export function usesCharts({ name }: Suite): boolean {
  return name.startsWith("helm.");
}

export function upgradesCharts({ name }: Suite): boolean {
  return name === "helm.upgrade";
}

/** Makes a tree like Istio's sources, but with this checkout's charts. Returns its directory. */
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

/**
 * Makes this checkout known to the lab as two former releases, and serves their charts there until the process ends.
 */
export async function serveFormerCharts(lab: LabCluster): Promise<ChildProcess> {
  const charts = join(lab.directory, "former-charts");
  mkdirSync(charts);
  for (const version of formerReleases) {
    const directory = join(lab.directory, `release-${version}`);
    await lab.ok([lab.serin, "release", "build", directory, "--version", version]);
    await lab.ok([lab.serin, "release", "add", directory, "--name", lab.name]);
    const packages = join(lab.directory, `charts-${version}`);
    await lab.ok([join(directory, "bin/serin"), "charts", "package", packages, "--hub", formerHub]);
    for (const file of readdirSync(packages))
      if (file.endsWith(`-${version}.tgz`)) renameSync(join(packages, file), join(charts, file));
  }
  await lab.ok([join(lab.directory, "bin/helm"), "repo", "index", charts]);
  const server = join(root, "test/interop/istio-suite/web-server.ts");
  const repository = lab.spawnInShell([process.execPath, server, "-f", "-p", String(repositoryPort), "-h", charts]);
  // Wait until the server answers, because the first test may request a chart at once.
  await eventually(
    "the former releases' charts are served",
    async () => (await lab.shell(`curl -sf -m 2 -o /dev/null ${formerCharts}/index.yaml`)).code === 0,
  );
  return repository;
}
