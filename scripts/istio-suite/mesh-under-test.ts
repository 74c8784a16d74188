// The mesh that the suites judge: Serin's, or Istio's control plane and ztunnel in the same lab. A case that fails with
// both shows a difference of the lab, and not of the mesh.
import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { userError } from "../../src/base/index.ts";
import { root, serin, type LabCluster } from "../../test/support/lab-cluster.ts";

export const meshes = ["serin", "upstream"] as const;
export type MeshUnderTest = (typeof meshes)[number];

const images = join(root, "test/interop/istio-suite");
const peers = join(root, ".cache/interop");
/** Istio's programs in .cache/interop, each with the script that builds it. */
const upstreamPrograms = [
  ["pilot-discovery", "scripts/fetch/istiod.sh"],
  ["istioctl", "scripts/fetch/istiod.sh"],
  ["ztunnel", "ZTUNNEL_SOURCE=<checkout> scripts/fetch/ztunnel.sh"],
] as const;

export function parseMesh(text: string): MeshUnderTest {
  const mesh = meshes.find((name) => name === text);
  if (mesh === undefined)
    throw userError("argument-invalid", `--mesh ${text}: expected ${meshes.join(" or ")}`, {
      hint: "npm run interop -- istio-suite --mesh upstream",
    });
  for (const [program, script] of mesh === "upstream" ? upstreamPrograms : [])
    if (!existsSync(join(peers, program)))
      throw userError("file-unreadable", `--mesh upstream needs .cache/interop/${program}`, {
        hint: `build it: ${script}`,
      });
  return mesh;
}

/**
 * Returns the folder of the verdicts, below the folder of the built suites. `workers` is the value of `--workers`, the
 * number of workers of each proxy and ztunnel. It is undefined without the flag.
 */
export function resultsFolder(mesh: MeshUnderTest, workers?: number): string {
  return [
    "results",
    ...(mesh === "serin" ? [] : [mesh]),
    ...(workers === undefined ? [] : [`workers-${workers}`]),
  ].join("-");
}

/**
 * Makes the images of the tests and of the mesh known to the lab, and puts the mesh's `istioctl` into the PATH of the
 * tests.
 */
export function placeMesh(mesh: MeshUnderTest, lab: LabCluster): void {
  const files = ["images.yaml", ...(mesh === "upstream" ? ["upstream-images.yaml"] : [])];
  const catalogue = files.map((file) => readFileSync(join(images, file), "utf8")).join("");
  writeFileSync(join(lab.stateDirectory, "images.yaml"), catalogue);
  symlinkSync(mesh === "serin" ? serin : join(peers, "istioctl"), join(lab.directory, "bin/istioctl"));
}

/** Returns the flags of Istio's test framework that depend on the mesh. */
export function meshFlags(mesh: MeshUnderTest, workers?: number): readonly string[] {
  const values = [
    // The framework deploys the workloads of a template only if the ConfigMap names the template. Serin's own templates
    // are code.
    ...(mesh === "serin" ? ["sidecarInjectorWebhook.templates.grpc-agent=built-in"] : []),
    ...(workers === undefined
      ? []
      : [`meshConfig.defaultConfig.concurrency=${workers}`, `ztunnel.env.ZTUNNEL_WORKER_THREADS=${workers}`]),
  ];
  return values.length === 0 ? [] : [`--istio.test.kube.helm.values=${values.join(",")}`];
}
