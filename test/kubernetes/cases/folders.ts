import { eventually } from "../../support/eventually.ts";
import { busyboxImage } from "../base-images.ts";
import type { Bench, Case } from "../bench.ts";
import { nodeNumbers } from "../cluster-layout.ts";
import { deploymentObject, namespaceObject } from "../objects.ts";
import { loadLayout } from "./install.ts";
import { applyText } from "./policies.ts";
import { namespace, refused, serin, uninstallLeavesNothing } from "./refused-install.ts";

const shop = "folders";

/** Starts a pod on each node. Throws if one does not start. */
async function podsStart(bench: Bench, name: string): Promise<void> {
  const { cluster } = bench;
  const spread = { topologyKey: "kubernetes.io/hostname", labelSelector: { matchLabels: { app: name } } };
  const pod = { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [spread] } } };
  const words = { name, namespace: shop, image: busyboxImage, command: ["sleep", "infinity"], replicas: 2, pod };
  await applyText(bench, [namespaceObject(shop), deploymentObject(words)]);
  await cluster.available(shop);
}

async function onNodes({ cluster }: Bench, script: string): Promise<void> {
  for (const number of nodeNumbers) await cluster.nodes[number].ok(["sh", "-c", script]);
}

/** Values that name folders which the container runtime does not use. */
export const foldersCase: Case = {
  name: "refused-folders",
  title: "values that name CNI folders which the container runtime does not read are reported",
  after: [],
  async run(bench) {
    const { cluster, release } = bench;
    await loadLayout(cluster, release.images);
    await refused(
      bench,
      ["--set", "values.cni.cniBinDir=/opt/elsewhere/bin"],
      [
        /DaemonSet istio-system\/istio-cni-node .*pod istio-system\/istio-cni-node-\S+ on node n/s,
        /folder \/opt\/elsewhere\/bin has no program of the cluster's network \(ptp, portmap in \/etc\/cni\/net\.d\/10-ptp/,
        /perhaps \/opt\/cni\/bin/,
        /Set values\.cni\.cniBinDir/,
      ],
    );
    await podsStart(bench, "programs");
    await uninstallLeavesNothing(bench);
    await refused(
      bench,
      ["--set", "values.cni.cniConfDir=/opt/elsewhere/net.d"],
      [
        /folder \/opt\/elsewhere\/net\.d has no network configuration, perhaps \/etc\/cni\/net\.d/,
        /Set values\.cni\.cniConfDir/,
      ],
    );
    await podsStart(bench, "configuration");
    await uninstallLeavesNothing(bench);
    await onNodes(bench, "mkdir -p /opt/earlier/net.d && cp /etc/cni/net.d/10-ptp.conflist /opt/earlier/net.d/");
    // This folder has a network configuration, so the installation is not refused. The agent notices that the container
    // runtime reads another folder only when the runtime starts a pod without calling the plugin.
    await cluster.serin(
      "install",
      "--set",
      "profile=ambient",
      "-y",
      "--set",
      "values.cni.cniConfDir=/opt/earlier/net.d",
    );
    let attempts = 0;
    await eventually("serin doctor names the folder that the container runtime does not read", async () => {
      // The agent does not judge pods of its first seconds, in which the runtime may not know the plugin yet.
      attempts += 1;
      await podsStart(bench, `earlier-${attempts}`);
      const { output } = await serin(bench, ["doctor", "--kubernetes"]);
      return /started pod folders\/earlier-\S+ without calling the plugin[^]*Set values\.cni\.cniConfDir/.test(output);
    });
    await uninstallLeavesNothing(bench);
    await onNodes(bench, "! grep serin /opt/earlier/net.d/10-ptp.conflist && rm -r /opt/earlier /opt/elsewhere");
    await cluster.kubectl("delete", "namespace", shop, "--wait=false");
    return `the folders and the values are named, pods start meanwhile, and uninstall leaves nothing in ${namespace}`;
  },
};
