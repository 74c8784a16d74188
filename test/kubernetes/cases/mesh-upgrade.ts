import type { UntypedObject } from "../../../src/api/index.ts";
import { meshUpgradeKind, type MeshUpgrade } from "../../../src/api/serin/index.ts";
import { eventually } from "../../support/eventually.ts";
import type { Bench, Case } from "../bench.ts";
import { nextVersion } from "../releases.ts";
import { loadLayout } from "./install.ts";

const endTimeoutMs = 600_000;

/** Of the installation that README makes, to another revision and release. */
function upgradeObject(name: string, revision: string, tag: string): UntypedObject {
  return {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "MeshUpgrade",
    metadata: { name },
    spec: {
      from: { revision: "default" },
      to: {
        revision,
        install: [
          {
            profile: "ambient",
            revision,
            tag,
            components: {
              cni: { enabled: false },
              ingressGateways: [{ name: "istio-ingressgateway", enabled: false }],
            },
          },
        ],
        cni: { tag },
      },
      // One step a namespace, and not one a pod.
      ztunnel: { by: "Namespace" },
      gateways: { weights: [50, 100] },
      waypoints: { weights: [100] },
      checks: [
        { type: "mtls-probe-matrix", minSamples: 40 },
        { type: "request-success-rate", minSamples: 20 },
      ],
      settleTimeoutSeconds: 120,
    },
  };
}

async function ended(
  { cluster }: Bench,
  name: string,
  wanted: readonly string[],
): Promise<NonNullable<MeshUpgrade["status"]>> {
  const ends = ["Completed", "RolledBack", "Stuck"];
  const status = await eventually(
    `MeshUpgrade ${name} has ended as ${wanted.join(" or ")}`,
    async () => {
      const { metadata, status: found } = (await cluster.api.client.get(meshUpgradeKind, name)) ?? {};
      if (found?.observedGeneration !== metadata?.generation) return undefined;
      return ends.includes(found?.phase ?? "") ? found : undefined;
    },
    endTimeoutMs,
  );
  if (!wanted.includes(status.phase))
    throw new Error(`${name} ended as ${status.phase}: ${status.cause ?? ""} ${status.message}`);
  return status;
}

export const meshUpgradeCase: Case = {
  name: "mesh-upgrade",
  title: "a MeshUpgrade moves the mesh to the next release, retires the old one, and is put back",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster, load, nextImages, note } = bench;
    await loadLayout(cluster, nextImages);
    await cluster.api.apply([upgradeObject("to-next", "next", nextVersion)]);
    const forward = await ended(bench, "to-next", ["Completed"]);
    note(`forward in ${forward.completedSteps.length} steps`);
    const images = await cluster.kubectl(
      "get",
      "pods",
      "-A",
      "-o",
      "jsonpath={range .items[*]}{.metadata.name}{' '}{.spec.containers[*].image}{'\\n'}{end}",
    );
    const old = images
      .split("\n")
      .filter((line) => /\/(pilot|proxyv2|ztunnel|install-cni):/.test(line) && !line.includes(`:${nextVersion}`));
    if (old.length > 0) throw new Error(`still of the old release:\n${old.join("\n")}`);
    await load.more(100);
    await cluster.kubectl("patch", "meshupgrade", "to-next", "--type=merge", "-p", '{"spec":{"abort":true}}');
    await ended(bench, "to-next", ["RolledBack"]);
    await load.more(100);
    await cluster.kubectl("delete", "meshupgrade", "to-next");
    return `forward in ${forward.completedSteps.length} steps, and back`;
  },
};

export const absentImageCase: Case = {
  name: "absent-image",
  title: "a MeshUpgrade to images that nobody can pull ends by itself, and says which image",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster, load } = bench;
    await cluster.api.apply([upgradeObject("to-absent", "absent", "0.0.0-absent")]);
    const { phase, cause = "", message } = await ended(bench, "to-absent", ["RolledBack", "Stuck"]);
    if (!/0\.0\.0-absent/.test(`${cause} ${message}`))
      throw new Error(`it ended as ${phase} without a word of the image: ${cause} ${message}`);
    await load.more(100);
    await cluster.kubectl("delete", "meshupgrade", "to-absent");
    return `${phase}: ${cause === "" ? message : cause}`;
  },
};
