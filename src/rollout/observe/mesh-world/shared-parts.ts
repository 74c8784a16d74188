import { X509Certificate } from "node:crypto";
import { matchesLabels } from "../../../api/index.ts";
import type { IstioOperatorSpec } from "../../../api/istio/index.ts";
import { nodeKind, secretKind } from "../../../api/kubernetes/index.ts";
import type { JournalEntry, MeshUpgrade } from "../../../api/serin/index.ts";
import { certificateBlocks, certificateFingerprint, textAt, userError, valueAt } from "../../../base/index.ts";
import type * as Install from "../../../install/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import {
  labelPointer,
  nextRootName,
  reference,
  referenceTo,
  revisionLabel,
  usualNamespace,
  type MeshWorld,
} from "../../plan/index.ts";
import { ObjectAccess } from "../../act/object-access.ts";
import type { ClusterView } from "../cluster-view.ts";
import { controlPlaneDeployments, controlPlaneRevision, isZtunnel } from "../pilot-answers.ts";
import type { PriorValues } from "./prior-values.ts";
import { installedControlPlanes, renderOne, type EngineImage } from "./render-install.ts";

/**
 * The nodes on which the revision's ztunnel runs, and those that the upgrade has labelled, even after the ztunnel has
 * left them.
 */
export function ztunnelNodes(view: ClusterView, revision: string, prior: PriorValues): string[] {
  const running = view.pods
    .list()
    .filter((pod) => isZtunnel(view, pod) && (pod.metadata.labels?.[revisionLabel] ?? "default") === revision)
    .flatMap(({ spec }) => spec?.nodeName ?? []);
  const all = view.pods.list().flatMap(({ spec }) => spec?.nodeName ?? []);
  const labelled = [...new Set(all)].filter((name) =>
    prior.has(reference("v1", nodeKind.kind, name), labelPointer(revisionLabel)),
  );
  return [...new Set([...running, ...labelled])].toSorted();
}

/** The objects of the CNI agent that the spec requests, which of them exist, and the nodes that run one. */
export async function observeCni(
  client: KubeClient,
  view: ClusterView,
  install: typeof Install,
  { spec }: MeshUpgrade,
  image: EngineImage,
): Promise<Pick<MeshWorld, "cni">> {
  if (spec.to.cni === undefined || !spec.scope.cni) return {};
  const rendered = renderOne(install, spec.to.cni, "spec.to.cni", image).filter(
    ({ metadata }) => metadata.labels?.["operator.istio.io/component"] === "Cni",
  );
  const agent = rendered.find(({ kind }) => kind === "DaemonSet");
  if (agent === undefined)
    throw userError("rollout-invalid", "spec.to.cni: has no CNI agent", {
      hint: "components: { cni: { enabled: true } }",
    });
  const access = new ObjectAccess(client);
  const there = await Promise.all(
    rendered.map(async (object) =>
      (await access.get(referenceTo(object))) === undefined
        ? []
        : [`${object.kind ?? ""} ${object.metadata.name ?? ""}`],
    ),
  );
  const running = view.daemonSets.get(`${agent.metadata.namespace ?? ""}/${agent.metadata.name ?? ""}`);
  if (running === undefined)
    throw userError(
      "rollout-invalid",
      `spec.to.cni: no DaemonSet ${agent.metadata.namespace ?? ""}/${agent.metadata.name ?? ""} exists that could be replaced`,
      { hint: "set spec.to.cni.namespace to where the agent runs" },
    );
  requireSameFolders(running, agent, spec.to.cni);
  const labels = running.spec?.selector.matchLabels ?? {};
  const nodes = view.pods
    .list()
    .flatMap(({ metadata, spec: pod }) =>
      metadata.namespace === agent.metadata.namespace &&
      pod?.nodeName !== undefined &&
      matchesLabels(labels, metadata.labels)
        ? [pod.nodeName]
        : [],
    );
  return { cni: { objects: rendered, existing: there.flat(), nodes: [...new Set(nodes)].toSorted() } };
}

/** The agent's volumes for the CNI folders of a node, and the settings (`values.cni`) of their paths. */
const folders = [
  { volume: "cni-bin-dir", value: "cniBinDir" },
  { volume: "cni-net-dir", value: "cniConfDir" },
] as const;

/**
 * An agent in other folders than the one that it replaces would not find the node's network, and would leave the old
 * plugin behind. Throws in this case, unless the spec states the folder or the platform.
 */
function requireSameFolders(running: object, next: object, { values }: IstioOperatorSpec): void {
  if (textAt(values, "global", "platform") !== undefined) return;
  for (const { volume, value } of folders) {
    const [before, after] = [hostPathOf(running, volume), hostPathOf(next, volume)];
    if (before === undefined || after === undefined || before === after) continue;
    if (textAt(values, "cni", value) !== undefined) continue;
    throw userError(
      "rollout-invalid",
      `spec.to.cni: the agent that runs uses the nodes' folder ${before}, and its successor would use ${after}`,
      { hint: `repeat the installation's flags: values.global.platform, or values.cni.${value}: ${before}` },
    );
  }
}

function hostPathOf(daemonSet: object, volume: string): string | undefined {
  const volumes = valueAt(daemonSet, "spec", "template", "spec", "volumes");
  const found = (Array.isArray(volumes) ? volumes : []).find((listed) => textAt(listed, "name") === volume);
  return textAt(found, "hostPath", "path");
}

/**
 * The root to which the upgrade moves: the next root if a control plane has created it, and otherwise the root in the
 * Secret that the spec names.
 */
export async function observeRoot(
  client: KubeClient,
  view: Pick<ClusterView, "deployments" | "controlPlaneNamespaces">,
  { spec, status }: MeshUpgrade,
  { installs, journal }: { readonly installs: MeshWorld["installs"]; readonly journal: readonly JournalEntry[] },
): Promise<Pick<MeshWorld, "root">> {
  const { root } = spec.to;
  if (root === undefined) return {};
  const rootNamespace = rootNamespaceOf(view, spec, installs, journal);
  const named = await client.get(secretKind, root.secretName, rootNamespace);
  const next = await client.get(secretKind, nextRootName, rootNamespace);
  const isOver = status?.completedSteps.some(({ id }) => id === "root/only") === true;
  if (named === undefined && next === undefined && !isOver) {
    throw userError(
      "rollout-invalid",
      `spec.to.root.secretName: there is no Secret ${rootNamespace}/${root.secretName}`,
      {
        hint: "it needs the keys of cacerts: ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem; with empty data a control plane makes a root",
      },
    );
  }
  // A self-signed authority has no root-cert.pem, because its own certificate is the root.
  const { "root-cert.pem": given = "", "ca-cert.pem": signed = "" } = (next ?? named)?.data ?? {};
  const certificate = given === "" ? signed : given;
  return {
    root: {
      namespace: rootNamespace,
      fingerprint: fingerprintOf(Buffer.from(certificate, "base64").toString("utf8")),
      data: named?.data ?? {},
    },
  };
}

/**
 * The namespace in which control planes look for the next root: their own, or that of the Secret which the upgrade has
 * made. Throws a user error if the revisions run in different namespaces.
 */
function rootNamespaceOf(
  view: Pick<ClusterView, "deployments" | "controlPlaneNamespaces">,
  { from, to }: MeshUpgrade["spec"],
  installs: MeshWorld["installs"],
  journal: readonly JournalEntry[],
): string {
  const made = journal.find(({ type, object }) => type === "created" && object.name === nextRootName);
  if (made?.object.namespace !== undefined) return made.object.namespace;
  const all = [...controlPlaneDeployments(view), ...installedControlPlanes(installs)];
  const namespaceOf = (revision: string): string | undefined =>
    all.find((found) => controlPlaneRevision(found) === revision)?.metadata.namespace;
  const namespace = namespaceOf(to.revision) ?? usualNamespace;
  const before = namespaceOf(from.revision) ?? namespace;
  if (before !== namespace)
    throw userError(
      "rollout-invalid",
      `spec.to.root: revision ${from.revision} runs in namespace ${before}, and ${to.revision} in ${namespace}, and a root changes only for control planes of one namespace`,
      { hint: `leave spec.to.root out, and change the root by another upgrade from and to ${to.revision}` },
    );
  return namespace;
}

function fingerprintOf(pem: string): string {
  const [first] = certificateBlocks(pem);
  if (first === undefined) return "";
  try {
    return certificateFingerprint(new X509Certificate(first));
  } catch {
    throw userError("rollout-invalid", "spec.to.root.secretName: root-cert.pem contains no certificate");
  }
}
