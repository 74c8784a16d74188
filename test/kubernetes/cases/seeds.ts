// Runs the lab's tests of the five walkthroughs on this cluster. Nodes pull every image from a registry of this run,
// under the names in the guides.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ImageRegistry } from "../../support/image-registry.ts";
import type { Bench, Case } from "../bench.ts";
import { clientAddress, loadBalancerAddress, nodeName, nodeNumbers } from "../cluster-layout.ts";
import { writeGuideImages, type GuideImages } from "../guide-images.ts";
import { root, type RealCluster } from "../real-cluster.ts";
import { ownSerin } from "../releases.ts";
import { tidyUp } from "./helm.ts";

const limitMs = 900_000;
const registryPort = 5001;
/** containerd reads this folder for every registry that has no folder of its own. */
const anyRegistry = "/etc/containerd/certs.d/_default";
const ownNamespace = /^(default|kube-.*)$/;
const labels = ["istio-injection", "istio.io/rev", "istio.io/dataplane-mode", "istio.io/use-waypoint"];
const inNamespace = "deployments,daemonsets,statefulsets,jobs,pods,services,serviceaccounts,configmaps";

const clients = ["docker.io/curlimages/curl:latest", "docker.io/radial/busyboxplus:curl"];

interface Seed {
  readonly number: string;
  readonly title: string;
  readonly images?: GuideImages;
}

const seeds: readonly Seed[] = [
  { number: "002", title: "sidecars, an ingress gateway, weights and the add-ons, as on EKS" },
  { number: "001", title: "ambient, a waypoint for each account, weights" },
  {
    number: "000",
    title: "two revisions of ambient, each on its node, and a canary of bookinfo",
    images: { versions: ["1.18.0-alpha.0", "1.18.1"] },
  },
  {
    number: "004",
    title: "two revisions of a control plane with sidecars and both gateways",
    images: { versions: ["1.31.99"] },
  },
  {
    number: "003",
    title: "two of Banzai Cloud's operators, by helm",
    images: {
      versions: ["1.6.8", "1.7.7"],
      addons: [
        "banzaicloud/istio-operator:0.6.12",
        "banzaicloud/istio-operator:0.7.12",
        "gcr.io/kubebuilder/kube-rbac-proxy:v0.5.0",
      ],
      withCurl: ["k8s.gcr.io/echoserver:1.10"],
    },
  },
];

async function names({ cluster }: Bench, ...args: readonly string[]): Promise<string[]> {
  return (await cluster.kubectl("get", ...args, "-o", "name")).split("\n").filter((name) => name.includes("/"));
}

/** Removes everything but the cluster's own pods, because a guide begins with an empty cluster. */
async function clear(bench: Bench): Promise<void> {
  const { cluster, load } = bench;
  await load.stop();
  if ((await names(bench, "deployments,daemonsets", "-n", "istio-system")).length > 0)
    await cluster.serin("uninstall", "--purge", "-y");
  await tidyUp(bench);
  const namespaces = (await names(bench, "namespaces")).filter(
    (name) => !ownNamespace.test(name.slice("namespace/".length)),
  );
  if (namespaces.length > 0) await cluster.kubectl("delete", ...namespaces, "--timeout=180s");
  const definitions = (await names(bench, "customresourcedefinitions")).filter((name) =>
    /\.(gateway\.networking\.k8s\.io|banzaicloud\.io)$/.test(name),
  );
  if (definitions.length > 0) await cluster.kubectl("delete", ...definitions, "--timeout=60s");
  const left = (await names(bench, inNamespace, "-n", "default")).filter(
    (name) => !/^(service\/kubernetes|serviceaccount\/default|configmap\/kube-root-ca\.crt)$/.test(name),
  );
  if (left.length > 0)
    await cluster.kubectl("delete", ...left, "-n", "default", "--timeout=120s", "--ignore-not-found");
  await cluster.kubectl("label", "namespace", "default", ...labels.map((label) => `${label}-`));
  await cluster.kubectl("label", "nodes", "--all", "istio.io/rev-");
}

async function onNodes(cluster: RealCluster, script: string, input = ""): Promise<void> {
  await Promise.all(nodeNumbers.map(async (number) => await cluster.nodes[number].ok(["sh", "-c", script], { input })));
}

/** While `act` runs, nodes pull every image from the run's registry. */
async function withImages(bench: Bench, wanted: GuideImages, act: () => Promise<string>): Promise<string> {
  const { cluster, release, next } = bench;
  const own = release.serin === ownSerin ? release : next;
  const images = await writeGuideImages(join(cluster.files.scratch, "images"), own, { clients, ...wanted });
  const registry = new ImageRegistry({ layouts: [images, own.images], hub: own.hub });
  await registry.listen(registryPort, clientAddress);
  try {
    const server = `server = "http://${clientAddress}:${registryPort}"\n`;
    await onNodes(cluster, `mkdir -p ${anyRegistry} && cat > ${anyRegistry}/hosts.toml`, server);
    // A node does not pull images that it has, and earlier cases may have loaded others under these names.
    const { withCurl = [] } = wanted;
    if (withCurl.length > 0)
      await Promise.all(nodeNumbers.map(async (number) => await cluster.nodes[number].forgetImages(withCurl)));
    return await act();
  } finally {
    await onNodes(cluster, `rm -rf ${anyRegistry}`);
    registry.close();
  }
}

/** What the output says about failed steps. The first is usually the cause of the others. */
function failuresIn(output: string): string {
  const begin = output.lastIndexOf("failing tests:");
  return (begin === -1 ? output : output.slice(begin)).slice(0, 6_000);
}

function seedCase({ number, title, images = {} }: Seed): Case {
  return {
    name: `seed-${number}`,
    title: `the commands of walkthrough ${number} from "install" on: ${title}`,
    async run(bench) {
      const { cluster } = bench;
      await clear(bench);
      await cluster.kubectl("apply", "--server-side", "-f", join(root, "manifests/crds/gateway-api-lab.yaml"));
      return await withImages(bench, images, async () => {
        const test = join(root, `test/e2e/seed-${number}.test.ts`);
        const log = join(cluster.files.logs, `seed-${number}.log`);
        const words = [process.execPath, "--test", "--test-reporter=spec", test];
        // The output goes to a file, so that a person can watch it.
        const { code } = await cluster.run(["sh", "-c", `exec "$0" "$@" > ${log} 2>&1`, ...words], {
          env: {
            SERIN_TEST_KUBECONFIG: cluster.kubeconfig,
            SERIN_TEST_NODES: nodeNumbers.map(nodeName).join(","),
            SERIN_TEST_ADDRESSES: loadBalancerAddress(0).replace(/\.0$/, ""),
            SERIN_TEST_REPORTS: cluster.files.reports,
            // The run removes this directory at its end, however the test ends.
            TMPDIR: cluster.files.scratch,
          },
          timeoutMs: limitMs,
        });
        const output = readFileSync(log, "utf8");
        if (code !== 0) throw new Error(failuresIn(output));
        return `${/^ℹ pass (\d+)$/m.exec(output)?.[1] ?? "no"} steps passed`;
      });
    },
  };
}

export const seedCases: readonly Case[] = seeds.map(seedCase);
