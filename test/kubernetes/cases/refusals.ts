// Installations that must fail. Each message must name the object and the remedy, and an uninstall must remove
// everything that was written.
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { eventually } from "../../support/eventually.ts";
import type { Bench, Case } from "../bench.ts";
import { apiServer, clientAddress } from "../cluster-layout.ts";
import { namespaceObject } from "../objects.ts";
import { foldersCase } from "./folders.ts";
import { loadLayout } from "./install.ts";
import { applyText } from "./policies.ts";
import {
  expectWords,
  namespace,
  refused,
  serin,
  uninstallLeavesNothing,
  withoutMesh,
  written,
} from "./refused-install.ts";

const runtimeConfiguration = "/etc/containerd/config.toml";

const rightsCase: Case = {
  name: "refused-rights",
  title: "an installation by a user with read access only is refused",
  after: [],
  async run(bench) {
    const { cluster } = bench;
    await applyText(bench, [
      {
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "ClusterRoleBinding",
        metadata: { name: "viewer" },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "view" },
        subjects: [{ kind: "User", name: "viewer", apiGroup: "rbac.authorization.k8s.io" }],
      },
    ]);
    const before = await written(bench);
    const viewer = join(cluster.files.kubeconfigs, "viewer.conf");
    await refused(
      bench,
      [],
      [/nothing was written/, /create.* daemonsets\.apps in istio-system/, /administrator/],
      viewer,
    );
    const { code, output } = await serin(bench, ["doctor", "--kubernetes"], viewer);
    if (code === 0) throw new Error(`serin doctor --kubernetes found no fault:\n${output}`);
    expectWords(output, [/User viewer/, /kubectl create clusterrolebinding serin-installer .*--user=viewer/]);
    const after = await written(bench);
    if (after.join() !== before.join()) throw new Error(`something was written: ${after.join(", ")}`);
    return "every missing right is named, and nothing was written";
  },
};

/** Runs a relay to the API server, which reports another version, at the client's address. */
async function withOldServer(bench: Bench, version: string, act: (kubeconfig: string) => Promise<void>): Promise<void> {
  const { pki, kubeconfigs } = bench.cluster.files;
  const read = (name: string): Buffer => readFileSync(join(pki, name));
  const agent = new Agent({ ca: read("ca.crt"), cert: read("admin.crt"), key: read("admin.key") });
  const server = createServer((incoming, answer) => {
    if (incoming.url === "/version") {
      const [major, minor] = version.slice(1).split(".");
      answer.setHeader("content-type", "application/json");
      answer.end(JSON.stringify({ major, minor, gitVersion: version }));
      return;
    }
    const { method = "GET", url = "/", headers } = incoming;
    const outgoing = request(`${apiServer}${url}`, { method, headers, agent }, (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(answer);
    });
    outgoing.on("error", () => answer.destroy());
    incoming.pipe(outgoing);
  });
  const port = await new Promise<number>((resolve) => {
    server.listen(0, clientAddress, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
  const kubeconfig = join(kubeconfigs, "old.conf");
  const named = (name: string, value: object): object => ({ name: "old", [name]: value });
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "old",
      clusters: [named("cluster", { server: `http://${clientAddress}:${port}` })],
      users: [named("user", {})],
      contexts: [named("context", { cluster: "old", user: "old" })],
    }),
  );
  try {
    await act(kubeconfig);
  } finally {
    server.closeAllConnections();
    server.close();
    agent.destroy();
  }
}

const versionCase: Case = {
  name: "refused-version",
  title: "a cluster with an unsupported old API server is refused",
  after: [],
  async run(bench) {
    await withOldServer(bench, "v1.29.4", async (kubeconfig) => {
      const { code, output } = await serin(bench, ["doctor", "--kubernetes"], kubeconfig);
      if (code === 0) throw new Error(`serin doctor --kubernetes found no fault:\n${output}`);
      expectWords(output, [/v1\.29\.4/, /oldest supported version is 1\.32/, /upgrade/]);
      const dry = await serin(bench, ["install", "--set", "profile=ambient", "--dry-run"], kubeconfig);
      expectWords(dry.output, [/v1\.29\.4/, /oldest supported version is 1\.32/]);
    });
    return "the doctor and the installation name the version and the oldest one";
  },
};

const podSecurityCase: Case = {
  name: "refused-podsecurity",
  title: "an installation fails clearly in a namespace whose Pod Security level refuses the node agents",
  after: [],
  async run(bench) {
    const {
      cluster,
      release: { images },
    } = bench;
    await loadLayout(cluster, images);
    await applyText(bench, [namespaceObject(namespace, { "pod-security.kubernetes.io/enforce": "restricted" })]);
    await refused(
      bench,
      [],
      [
        /DaemonSet istio-system\/istio-cni-node/,
        /violates PodSecurity "restricted/,
        /kubectl label namespace istio-system pod-security\.kubernetes\.io\/enforce=privileged --overwrite/,
      ],
    );
    await uninstallLeavesNothing(bench);
    return "the refusal and the label that lifts it are named, and uninstall leaves nothing";
  },
};

const quotaCase: Case = {
  name: "refused-quota",
  title: "an installation fails clearly while a ResourceQuota refuses its pods, and works without the quota",
  after: [],
  async run(bench) {
    const {
      cluster,
      release: { images },
    } = bench;
    await loadLayout(cluster, images);
    const few = { apiVersion: "v1", kind: "ResourceQuota", metadata: { name: "few", namespace } };
    await applyText(bench, [namespaceObject(namespace), { ...few, spec: { hard: { pods: "1" } } }]);
    const words = [/exceeded quota: few/, /kubectl describe quota -n istio-system/];
    await refused(bench, [], words);
    expectWords((await serin(bench, ["doctor", "--kubernetes"])).output, [/! mesh \(/, ...words]);
    await cluster.kubectl("delete", "resourcequota", "few", "-n", namespace);
    await cluster.serin("install", "--set", "profile=ambient", "-y");
    await uninstallLeavesNothing(bench);
    return "the quota is named, and the next installation ends well without waiting for the controllers' next attempt";
  },
};

/**
 * Outside `kube-system`, GKE's API server admits pods of these priority classes only in namespaces with a quota for
 * their class.
 */
const limitedPriorities = {
  apiVersion: "apiserver.config.k8s.io/v1",
  kind: "AdmissionConfiguration",
  plugins: [
    {
      name: "ResourceQuota",
      configuration: {
        apiVersion: "apiserver.config.k8s.io/v1",
        kind: "ResourceQuotaConfiguration",
        limitedResources: [
          {
            resource: "pods",
            matchScopes: [
              {
                scopeName: "PriorityClass",
                operator: "In",
                values: ["system-node-critical", "system-cluster-critical"],
              },
            ],
          },
        ],
      },
    },
  ],
};

export async function restartApiServer({ cluster }: Bench, flags: readonly string[] = []): Promise<void> {
  const { controlPlane } = cluster;
  await controlPlane.stop("kube-apiserver", "SIGKILL");
  controlPlane.start("kube-apiserver", flags);
  await cluster.apiServerReady();
  for (const program of ["kube-controller-manager", "kube-scheduler"] as const) controlPlane.start(program);
  await cluster.nodesReady();
}

const platformCase: Case = {
  name: "refused-platform",
  title: "an installation fails clearly if the nodes' priority class needs a quota, as on GKE, and works with it",
  after: [],
  async run(bench) {
    const { cluster, release } = bench;
    await loadLayout(cluster, release.images);
    const file = join(cluster.files.scratch, "admission.json");
    writeFileSync(file, JSON.stringify(limitedPriorities));
    await restartApiServer(bench, [`--admission-control-config-file=${file}`]);
    try {
      await refused(bench, [], [/insufficient quota to match these scopes/, /--set values\.global\.platform=gke/]);
      const quota = ["--set", "values.cni.resourceQuotas.enabled=true"];
      await cluster.serin("install", "--set", "profile=ambient", ...quota, "-y");
      await cluster.available(namespace);
      await uninstallLeavesNothing(bench);
    } finally {
      await restartApiServer(bench);
    }
    return "the value that creates the missing quota is named, and with that value the nodes' pods run";
  },
};

const registryCase: Case = {
  name: "refused-registry",
  title: "an installation from a registry that answers 401 fails clearly",
  after: [],
  async run(bench) {
    const server = createServer((_incoming, answer) => {
      answer.writeHead(401, { "www-authenticate": 'Basic realm="registry"' }).end("{}");
    });
    await new Promise<void>((resolve) => void server.listen(5000, clientAddress, resolve));
    try {
      await refused(
        bench,
        ["--set", `hub=${clientAddress}:5000/serin`],
        [
          new RegExp(`${clientAddress.replaceAll(".", String.raw`\.`)}:5000/serin/`),
          /authorization failed/,
          /imagePullSecrets/,
        ],
      );
      await uninstallLeavesNothing(bench);
    } finally {
      server.closeAllConnections();
      server.close();
    }
    return "the image and the registry's answer are named, and uninstall leaves nothing";
  },
};

/** A seccomp profile that refuses the sockets that nf_tables needs, as a kernel without nf_tables does. */
const withoutNetfilter = {
  defaultAction: "SCMP_ACT_ALLOW",
  syscalls: [
    {
      names: ["socket"],
      action: "SCMP_ACT_ERRNO",
      errnoRet: 93,
      args: [{ index: 2, value: 12, op: "SCMP_CMP_EQ" }],
    },
  ],
};
/** Replaces the profile of a container in the configuration for runc. */
const setProfile = `const fs = require("fs"); const file = process.argv[1]; const config = JSON.parse(fs.readFileSync(file)); config.linux.seccomp = ${JSON.stringify(withoutNetfilter)}; fs.writeFileSync(file, JSON.stringify(config));`;
const runcWithoutNetfilter = `#!/bin/sh
bundle=
previous=
for word; do
  [ "$previous" = --bundle ] && bundle=$word
  previous=$word
done
[ -n "$bundle" ] && grep -q '"io.kubernetes.cri.container-name":"install-cni"' "$bundle/config.json" && ${process.execPath} -e '${setProfile}' "$bundle/config.json"
exec /usr/sbin/runc "$@"
`;

const nodeCase: Case = {
  name: "refused-node",
  title: "an installation on a node without nf_tables fails clearly",
  after: [],
  async run(bench) {
    const {
      cluster,
      release: { images },
    } = bench;
    const node = cluster.nodes[2];
    await loadLayout(cluster, images);
    await node.ok(["sh", "-c", "cat > /usr/local/bin/runc-n && chmod 755 /usr/local/bin/runc-n"], {
      input: runcWithoutNetfilter,
    });
    const useRunc = async (from: string, to: string): Promise<void> => {
      await node.ok(["sed", "-i", `s#${from}#${to}#`, runtimeConfiguration]);
      node.order({ program: "containerd", signal: "SIGTERM", start: true });
      await eventually("containerd answers", async () => (await node.run(["ctr", "version"])).code === 0);
      await cluster.nodesReady();
    };
    await useRunc("/usr/sbin/runc", "/usr/local/bin/runc-n");
    try {
      await refused(bench, [], [/istio-cni-node-.* on node n2/, /nf_tables/, /modprobe nf_tables/]);
      await uninstallLeavesNothing(bench);
    } finally {
      await useRunc("/usr/local/bin/runc-n", "/usr/sbin/runc");
    }
    return "the node and what its kernel lacks are named, and uninstall leaves nothing";
  },
};

export const refusalCases: readonly Case[] = [
  rightsCase,
  versionCase,
  podSecurityCase,
  quotaCase,
  platformCase,
  registryCase,
  nodeCase,
  foldersCase,
].map((one) => ({
  ...one,
  async run(bench) {
    await withoutMesh(bench);
    return await one.run(bench);
  },
}));
