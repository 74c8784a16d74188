// Installs, upgrades and removes meshes in clusters whose administrators restrict what may run: by admission webhooks,
// by default levels and quotas, and by a registry with accounts.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ImageRegistry } from "../../support/image-registry.ts";
import type { Bench, Case } from "../bench.ts";
import { shop } from "./bookinfo.ts";
import { clientAddress, nodeNumbers } from "../cluster-layout.ts";
import { ForeignWebhook, mirror, mutatingWebhookName, validatingWebhookName } from "../foreign-webhook.ts";
import { namespaceObject } from "../objects.ts";
import { root } from "../real-cluster.ts";
import { loadLayout } from "./install.ts";
import { upgradeEngine } from "./mesh-upgrade.ts";
import { applyText } from "./policies.ts";
import { restartApiServer } from "./refusals.ts";
import { expectWords, ofAdministrators, refused, uninstallLeavesNothing, withoutMesh } from "./refused-install.ts";
import {
  applySmallApplication,
  imagesInUse,
  inAmbient,
  removeSmallApplication,
  smallNamespaces,
  thereAndBack,
  withSidecars,
} from "./small-mesh.ts";

const definitions = join(root, "manifests/crds/gateway-api-standard.yaml");
const [pilots, system, probes] = ["istio-system", "serin-system", "serin-probes"];

async function prepare(bench: Bench): Promise<void> {
  const { cluster, release, next } = bench;
  await withoutMesh(bench);
  for (const { images } of [release, next]) await loadLayout(cluster, images);
  await cluster.kubectl("apply", "--server-side", "-f", definitions);
  // Later cases kill the API server. After a restart, it does not serve CRDs that were not established before.
  await cluster.kubectl("wait", "--for=condition=Established", "-f", definitions, "--timeout=60s");
}

async function tidyUp(bench: Bench): Promise<void> {
  await removeSmallApplication(bench);
  await uninstallLeavesNothing(bench);
}

/** Gives the images of both releases their names in the mirror, on each node. */
async function nameInMirror({ cluster, release, next }: Bench): Promise<void> {
  const ctr = "ctr -n k8s.io images";
  const script = `${ctr} ls -q | grep '^${release.hub}/.*:\\(${release.version}\\|${next.version}\\)$' | while read -r image; do ${ctr} tag --force "$image" "${mirror}/\${image#*/}" > /dev/null; done`;
  for (const number of nodeNumbers) await cluster.nodes[number].ok(["sh", "-c", script]);
}

const foreignWebhooksCase: Case = {
  name: "foreign-webhooks",
  title: "webhooks of others refuse, do not answer, and then change every pod and workload of the mesh",
  after: [],
  async run(bench) {
    const { cluster } = bench;
    await prepare(bench);
    await nameInMirror(bench);
    const webhook = new ForeignWebhook(cluster.files);
    await webhook.listen();
    try {
      await applyText(bench, [webhook.configuration("Validating")]);
      await refused(bench, [], [new RegExp(validatingWebhookName), /must come from mirror\.example\.com/]);
      webhook.close();
      await refused(bench, [], [new RegExp(`failed calling webhook.*${validatingWebhookName}`), /connection refused/]);
      await webhook.listen();
      await applyText(bench, [webhook.configuration("Mutating")]);
      await cluster.serin("install", "--set", "profile=ambient", "-y", "--verify");
      await applyText(bench, smallNamespaces());
      await applySmallApplication(bench);
      await upgradeEngine(bench);
      const steps = await thereAndBack(bench);
      const others = (await imagesInUse(bench)).filter((line) => line.includes(" ghcr.io/"));
      if (others.length > 0) throw new Error(`the webhook did not change ${others.join(", ")}`);
      await tidyUp(bench);
      return `the refusing webhook is named; forward in ${steps} steps and back while ${mutatingWebhookName} changes everything`;
    } finally {
      const kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations";
      await cluster.kubectl("delete", kinds, "policies-of-others", "--ignore-not-found");
      webhook.close();
    }
  },
};

/** Pods in a namespace without a label of PodSecurity must fulfil the level `restricted`. */
const restrictedByDefault = {
  apiVersion: "apiserver.config.k8s.io/v1",
  kind: "AdmissionConfiguration",
  plugins: [
    {
      name: "PodSecurity",
      configuration: {
        apiVersion: "pod-security.admission.config.k8s.io/v1",
        kind: "PodSecurityConfiguration",
        defaults: { enforce: "restricted", "enforce-version": "latest" },
        exemptions: { namespaces: ["kube-system"] },
      },
    },
  ],
};

/** What administrators put into each namespace: a quota that counts everything, and defaults for containers. */
function quotas(namespace: string): object[] {
  const hard = {
    "requests.cpu": "8",
    "limits.cpu": "64",
    "requests.memory": "16Gi",
    "limits.memory": "64Gi",
    pods: "60",
  };
  const limits = [
    {
      type: "Container",
      defaultRequest: { cpu: "20m", memory: "64Mi" },
      default: { cpu: "2", memory: "1Gi" },
      max: { cpu: "4", memory: "4Gi" },
    },
  ];
  return [
    { apiVersion: "v1", kind: "ResourceQuota", metadata: { name: ofAdministrators, namespace }, spec: { hard } },
    { apiVersion: "v1", kind: "LimitRange", metadata: { name: ofAdministrators, namespace }, spec: { limits } },
  ];
}

/** A policy that admits only images below one registry path in the mesh's namespaces. */
function onlyImagesOf(hub: string): object[] {
  const group = { apiVersion: "admissionregistration.k8s.io/v1" };
  const metadata = { name: ofAdministrators };
  const key = "kubernetes.io/metadata.name";
  const rule = { apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"] };
  const expression = `object.spec.containers.all(one, one.image.startsWith("${hub}/"))`;
  return [
    {
      ...group,
      kind: "ValidatingAdmissionPolicy",
      metadata,
      spec: { matchConstraints: { resourceRules: [rule] }, validations: [{ expression }] },
    },
    {
      ...group,
      kind: "ValidatingAdmissionPolicyBinding",
      metadata,
      spec: {
        policyName: ofAdministrators,
        validationActions: ["Deny"],
        matchResources: {
          namespaceSelector: { matchExpressions: [{ key, operator: "In", values: [pilots, system, probes] }] },
        },
      },
    },
  ];
}

const restrictedCase: Case = {
  name: "restricted",
  title: "Pod Security is restricted by default, namespaces have quotas and limits, and a policy allows one registry",
  after: [],
  async run(bench) {
    const { cluster } = bench;
    await prepare(bench);
    await cluster.deleteNamespaces(probes);
    const configuration = join(cluster.files.scratch, "restricted.json");
    writeFileSync(configuration, JSON.stringify(restrictedByDefault));
    await restartApiServer(bench, [`--admission-control-config-file=${configuration}`]);
    try {
      const privileged = { "pod-security.kubernetes.io/enforce": "privileged" };
      await applyText(bench, [
        namespaceObject(pilots, privileged),
        ...[system, probes].map((name) => namespaceObject(name)),
        ...smallNamespaces(),
      ]);
      await applyText(bench, [pilots, system, probes, inAmbient, withSidecars].flatMap(quotas));
      await applyText(bench, onlyImagesOf(bench.release.hub));
      await cluster.serin("install", "--set", "profile=ambient", "-y");
      await applySmallApplication(bench);
      await upgradeEngine(bench);
      const steps = await thereAndBack(bench);
      await tidyUp(bench);
      return `installed, forward in ${steps} steps and back, and uninstalled`;
    } finally {
      const kinds = "validatingadmissionpolicies,validatingadmissionpolicybindings";
      await cluster.kubectl("delete", kinds, ofAdministrators, "--ignore-not-found");
      await restartApiServer(bench);
    }
  },
};

/** In this annotation, the admission plugin PodTolerationRestriction finds the tolerations of a namespace's pods. */
const tolerationsAnnotation = "scheduler.alpha.kubernetes.io/defaultTolerations";

/** Annotates bookinfo's namespace too: earlier cases may have left a Gateway there, which the upgrade also moves. */
async function annotateApplications({ cluster }: Bench, annotation: string): Promise<void> {
  for (const name of [inAmbient, withSidecars, shop])
    await cluster.run(["kubectl", "annotate", "namespace", name, annotation, "--overwrite"]);
}

const dedicated = { key: "dedicated", operator: "Equal", value: "mesh", effect: "NoSchedule" };

const taintedNodesCase: Case = {
  name: "tainted-nodes",
  title: "every node has a taint, which the mesh's pods tolerate by global.defaultTolerations",
  after: [],
  async run(bench) {
    const { cluster, next } = bench;
    await prepare(bench);
    await cluster.deleteNamespaces(probes);
    await restartApiServer(bench, ["--enable-admission-plugins=PodTolerationRestriction"]);
    await cluster.kubectl("taint", "nodes", "--all", "dedicated=mesh:NoSchedule");
    try {
      const keptOff = /taints \(Cluster\): keep pods off all 2 nodes: dedicated=mesh:NoSchedule\./;
      expectWords(await cluster.serin("doctor", "--kubernetes"), [keptOff, /Pods that do not tolerate them/]);
      await refused(bench, [], [/Unschedulable: .*untolerated taint/, /values\.global\.defaultTolerations/]);
      expectWords(await cluster.serin("doctor", "--kubernetes"), [
        keptOff,
        /these Deployments starts nowhere: .*istio-system\/istiod/,
      ]);
      await applyText(bench, smallNamespaces());
      await annotateApplications(bench, `${tolerationsAnnotation}=${JSON.stringify([dedicated])}`);
      const values = Object.entries(dedicated).map(([name, value]) => `global.defaultTolerations[0].${name}=${value}`);
      const flags = values.flatMap((value) => ["--set", `values.${value}`]);
      await cluster.serin("install", "--set", "profile=ambient", ...flags, "-y");
      await applySmallApplication(bench);
      const engine = ["profile=empty", "components.base.enabled=true", `hub=${next.hub}`, `tag=${next.version}`];
      await cluster.serin("install", ...engine.flatMap((one) => ["--set", one]), ...flags, "-y");
      const steps = await thereAndBack(bench, { values: { global: { defaultTolerations: [dedicated] } } });
      await tidyUp(bench);
      return `the taint is named, and then installed, forward in ${steps} steps and back, and uninstalled`;
    } finally {
      await cluster.kubectl("taint", "nodes", "--all", "dedicated-");
      await annotateApplications(bench, `${tolerationsAnnotation}-`);
      await restartApiServer(bench);
    }
  },
};

const registryPort = 5000;
const registry = `${clientAddress}:${registryPort}`;
const pullSecret = "pull";
const account = { username: "puller", password: "s3cret:with/signs" };

async function createPullSecret({ cluster }: Bench, namespace: string): Promise<void> {
  const { username, password } = account;
  const words = [`--docker-server=${registry}`, `--docker-username=${username}`, `--docker-password=${password}`];
  await cluster.kubectl("create", "secret", "docker-registry", pullSecret, "-n", namespace, ...words);
}

const privateRegistryCase: Case = {
  name: "private-registry",
  title: "every image comes from a registry that requires the credentials in imagePullSecrets",
  after: [],
  async run(bench) {
    const { cluster, release, next } = bench;
    await withoutMesh(bench);
    await cluster.kubectl("apply", "--server-side", "-f", definitions);
    const server = new ImageRegistry({ layouts: [release.images, next.images], hub: release.hub, account });
    await server.listen(registryPort, clientAddress);
    try {
      const hub = `${registry}/private`;
      const flags = ["--set", `hub=${hub}`, "--set", `values.global.imagePullSecrets={${pullSecret}}`];
      await refused(bench, flags, [/imagePullSecrets/, /Secret .*pull/]);
      // Nothing is removed in between: a person creates the Secret that the message names, and installs again.
      await applyText(bench, [...[pilots, system, probes].map((name) => namespaceObject(name)), ...smallNamespaces()]);
      for (const namespace of [pilots, system, probes, inAmbient, withSidecars])
        await createPullSecret(bench, namespace);
      await cluster.serin("install", "--set", "profile=ambient", ...flags, "-y");
      await applySmallApplication(bench);
      const engine = ["profile=empty", "components.base.enabled=true", `tag=${next.version}`];
      await cluster.serin("install", ...engine.flatMap((one) => ["--set", one]), ...flags, "-y");
      const steps = await thereAndBack(bench, { hub, values: { global: { imagePullSecrets: [pullSecret] } } });
      const others = (await imagesInUse(bench)).filter((line) => line.includes(" ghcr.io/"));
      if (others.length > 0) throw new Error(`these images came from elsewhere: ${others.join(", ")}`);
      await tidyUp(bench);
      return `installed in a second attempt, after the missing Secret was created, forward in ${steps} steps and back, and uninstalled`;
    } finally {
      server.close();
    }
  },
};

export const strictClusterCases: readonly Case[] = [
  foreignWebhooksCase,
  restrictedCase,
  taintedNodesCase,
  privateRegistryCase,
];
