import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Case } from "../bench.ts";
import { root, type RealCluster } from "../real-cluster.ts";
import { ownSerin } from "../releases.ts";
import { runCommand } from "../run-command.ts";

export async function loadLayout(cluster: RealCluster, layout: string): Promise<void> {
  const archive = join(cluster.files.scratch, "images/serin.tar");
  runCommand(["tar", "--create", "--file", archive, "--directory", layout, "."]);
  await cluster.load(archive);
  rmSync(archive);
}

export const installCase: Case = {
  name: "install",
  title: "containerd gets the images, and the Gateway API's definitions and the ambient profile are installed",
  async run({ cluster, release, next, note }) {
    await loadLayout(cluster, release.images);
    const isEarlier = release.serin !== ownSerin;
    // Earlier releases have no images of the samples.
    if (isEarlier) await loadLayout(cluster, next.images);
    note("images are loaded");
    await cluster.kubectl("apply", "--server-side", "-f", join(root, "manifests/crds/gateway-api-standard.yaml"));
    const hub = isEarlier ? ["--set", `hub=${release.hub}`] : [];
    await cluster.ok([release.serin, "install", "--set", "profile=ambient", ...hub, "-y"], { timeoutMs: 400_000 });
    await cluster.available("istio-system");
    const { output } = await cluster.run(["kubectl", "get", "pods", "-n", "istio-system", "--no-headers"]);
    const lines = output.trim().split("\n");
    const notRunning = lines.filter((line) => !/ Running +0 /.test(line));
    if (notRunning.length > 0) throw new Error(`not every pod runs without a restart:\n${notRunning.join("\n")}`);
    return `${lines.length} pods run, none restarted`;
  },
};
