import { X509Certificate } from "node:crypto";
import { connect, type DetailedPeerCertificate } from "node:tls";
import { certificateBlocks, certificateFingerprint, messageOf, SerinError, userError } from "../../../base/index.ts";
import { validMeshConfig } from "../../../api/mesh-config-text/index.ts";
import type { MeshConfig } from "../../../api/istio/index.ts";
import { configMapKind, secretKind, type Pod } from "../../../api/kubernetes/index.ts";
import type { MeshUpgrade, RootsReport } from "../../../api/serin/index.ts";
import { undefinedIfForbidden, type KubeClient } from "../../../kube/index.ts";
import { formatAuthority } from "../../../wire/hbone/index.ts";
import {
  compareRoots,
  describeRoot,
  type RevisionRoots,
  type RootCertificate,
  type SettleState,
} from "../../decide/index.ts";
import type { MeshWorld } from "../../plan/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { connectionError } from "../http-get.ts";
import { installedControlPlanes } from "../mesh-world/render-install.ts";
import { isReady } from "../pod-reason.ts";
import {
  answerOf,
  controlPlaneDeployments,
  controlPlanePods,
  controlPlaneRevision,
  pilotPod,
  rootConfigMapOf,
  rootsQuestion,
  unanswered,
  type PilotQuestion,
} from "../pilot-answers.ts";
import type { PilotPod } from "../pilot-debug/pilot-pod.ts";

const discoveryPort = 15_012;
/** The Secrets of a control plane's certificate authority. The first one takes precedence. */
const authoritySecrets = ["cacerts", "istio-ca-secret"] as const;

/**
 * Reads the roots and trust domains of a revision from each pod of its control plane. Serin's pilots report their roots
 * at `/debug/serin/roots`. The root of another pilot is found by comparing the certificate that it serves with the
 * Secrets {@link authoritySecrets} and with the ConfigMap of the root that it publishes. The trust domain comes from
 * the mesh config.
 */
export async function observeRoots(client: KubeClient, view: ClusterView, revision: string): Promise<RevisionRoots> {
  const pods = pilotsOf(view, revision);
  const config = await meshConfigOf(client, pods[0], revision);
  const domains = {
    trustDomain: config?.trustDomain ?? "cluster.local",
    trustDomainAliases: config?.trustDomainAliases ?? [],
  };
  const unknown = (reason: string): RevisionRoots => ({
    revision,
    ...domains,
    signing: [],
    trusted: [],
    unknown: reason,
  });
  const [first] = pods;
  if (first === undefined) return unknown(`no control plane of ${revision} is ready`);
  try {
    const known = await knownRoots(client, pilotPod(first));
    const answers = await Promise.all(pods.map(async (pod) => await rootsOfPod(view, pod, known)));
    return {
      revision,
      ...domains,
      signing: distinct(answers.flatMap(({ signing }) => signing)),
      trusted: distinct(answers.flatMap(({ trusted }) => trusted)),
      unknown: "",
    };
  } catch (error) {
    return unknown(messageOf(error));
  }
}

/**
 * Whether data planes of both revisions can verify each other. If not, the detail has all reasons. Waits if a control
 * plane does not answer.
 */
export async function observeRootsCompatible(
  client: KubeClient,
  view: ClusterView,
  { from, to }: { readonly from: string; readonly to: string },
  nowMs: number,
): Promise<SettleState> {
  const [before, after] = await Promise.all([observeRoots(client, view, from), observeRoots(client, view, to)]);
  const silent = [before, after].find(({ unknown }) => unknown !== "");
  if (silent !== undefined) return { state: "waiting", detail: `roots of ${silent.revision}: ${silent.unknown}` };
  const { compatible, problems } = compareRoots(before, after, nowMs);
  return compatible ? { state: "met" } : { state: "failed", detail: problems.join("; ") };
}

/**
 * Throws if the new control plane would run in another namespace than the old one and sign with a root that no data
 * plane trusts. Both control planes write their roots into the same ConfigMap of each namespace, so the data planes of
 * the old one would lose their root as soon as the new one runs. {@link observeRootsCompatible} checks the other cases
 * when the new control plane runs, such as bundles with a common root.
 */
export async function refuseOtherRoot(
  client: KubeClient,
  view: Pick<ClusterView, "deployments" | "controlPlaneNamespaces">,
  { spec: { from, to } }: MeshUpgrade,
  { installs, dataPlanes }: Pick<MeshWorld, "installs" | "dataPlanes">,
): Promise<void> {
  const running = controlPlaneDeployments(view);
  const before = running.find((found) => controlPlaneRevision(found) === from.revision);
  const [old, started, next] = [
    before?.metadata.namespace,
    running.find((found) => controlPlaneRevision(found) === to.revision),
    installedControlPlanes(installs).find((found) => controlPlaneRevision(found) === to.revision)?.metadata.namespace,
  ];
  if (old === undefined || next === undefined || next === old || started !== undefined) return;
  const published = await client.get(configMapKind, rootConfigMapOf(before?.spec?.template?.spec), old);
  const trusted = certificatesIn(published?.data?.["root-cert.pem"] ?? "");
  if (trusted.length === 0) return;
  const where = `spec.to.install: ${to.revision} would run in namespace ${next}, and ${from.revision} runs in ${old}`;
  const copy = `copy the Secret cacerts of namespace ${old}, or else its istio-ca-secret, to namespace ${next}`;
  const signing = await undefinedIfForbidden(signingSecret(client, next));
  if (signing === undefined) {
    if (dataPlanes.length === 0) return;
    throw userError("rollout-invalid", `${where}, and the engine may not read the root with which it would sign`, {
      hint: `in namespace ${next}, bind a Role that lets the engine's account get the Secrets cacerts and istio-ca-secret, and ${copy} if it has neither`,
    });
  }
  const named = new Set(trusted.map(({ fingerprint256 }) => fingerprint256));
  if (signing.roots.some(({ fingerprint256 }) => named.has(fingerprint256))) return;
  const other =
    signing.name === ""
      ? `would make a root of its own, because namespace ${next} has neither Secret cacerts nor istio-ca-secret`
      : `would sign with ${signing.roots.map((root) => describeRoot(rootOf(root))).join(", ") || "no certificate"} of Secret ${next}/${signing.name}`;
  throw userError(
    "rollout-invalid",
    `${where}. It ${other}, and data planes trust ${trusted.map((root) => describeRoot(rootOf(root))).join(", ")}`,
    { hint: copy },
  );
}

/**
 * The Secret with which a control plane of the namespace would sign, and the Secret's roots. The name is empty if there
 * is no Secret.
 */
async function signingSecret(
  client: KubeClient,
  namespace: string,
): Promise<{ readonly name: string; readonly roots: readonly X509Certificate[] }> {
  for (const name of authoritySecrets) {
    const secret = await client.get(secretKind, name, namespace);
    if (secret === undefined) continue;
    const [root = "", signer = ""] = ["root-cert.pem", "ca-cert.pem"].map((key) =>
      Buffer.from(secret.data?.[key] ?? "", "base64").toString("utf8"),
    );
    return { name, roots: certificatesIn(root === "" ? signer : root) };
  }
  return { name: "", roots: [] };
}

/**
 * The trust domains that a revision accepts as its own, its own name for itself first. Empty if its mesh config cannot
 * be read.
 */
export async function trustedDomains(
  client: KubeClient,
  view: ClusterView,
  revision: string,
): Promise<readonly string[]> {
  const config = await meshConfigOf(client, pilotsOf(view, revision)[0], revision);
  return config === undefined ? [] : [config.trustDomain, ...config.trustDomainAliases];
}

function pilotsOf(view: ClusterView, revision: string): Pod[] {
  return controlPlanePods(view).filter(
    (pod) => controlPlaneRevision(pod) === revision && pod.metadata.deletionTimestamp === undefined && isReady(pod),
  );
}

/** The volume of the mesh config in every installation of a pilot. */
const meshConfigVolume = "config-volume";

async function meshConfigOf(
  client: KubeClient,
  pod: Pod | undefined,
  revision: string,
): Promise<MeshConfig | undefined> {
  const mounted = pod?.spec?.volumes?.find((volume) => volume.name === meshConfigVolume)?.configMap?.name;
  const name = mounted ?? (revision === "default" ? "istio" : `istio-${revision}`);
  const map = await client.get(configMapKind, name, pod?.metadata.namespace ?? "istio-system");
  return validMeshConfig(map?.data?.["mesh"]);
}

/** The certificates of the control plane's namespace, and those of them that are published to data planes. */
interface KnownRoots {
  readonly certificates: readonly X509Certificate[];
  readonly published: readonly RootCertificate[];
}

async function knownRoots(
  client: KubeClient,
  { namespace, rootConfigMap }: Pick<PilotPod, "namespace" | "rootConfigMap">,
): Promise<KnownRoots> {
  const [published, ...stored] = await Promise.all([
    client.get(configMapKind, rootConfigMap, namespace),
    ...authoritySecrets.map(async (name) => await client.get(secretKind, name, namespace)),
  ]);
  const secrets = stored.flatMap((secret) =>
    ["root-cert.pem", "ca-cert.pem"].map((key) => Buffer.from(secret?.data?.[key] ?? "", "base64").toString("utf8")),
  );
  const public_ = certificatesIn(published?.data?.["root-cert.pem"] ?? "");
  return { certificates: [...public_, ...secrets.flatMap(certificatesIn)], published: distinct(public_.map(rootOf)) };
}

interface PodRoots {
  readonly signing: readonly RootCertificate[];
  readonly trusted: readonly RootCertificate[];
}

/**
 * The roots of a pilot. A pilot that does not prove its identity cannot report its roots, so the certificate that it
 * serves is examined instead. If that certificate has an unknown root, waiting would not help, and the root is
 * returned. Otherwise the certificate has another fault, such as a wrong name or date, and the error is thrown.
 */
async function rootsOfPod(view: ClusterView, pod: Pod, known: KnownRoots): Promise<PodRoots> {
  try {
    return (await reportedRoots(view, pod, known)) ?? (await servedRoots(view, pod, known));
  } catch (error) {
    if (!(error instanceof SerinError) || error.code !== "peer-identity") throw error;
    const served = await servedRoots(view, pod, known).catch(() => Promise.reject(error));
    const isKnown = ({ fingerprint }: RootCertificate): boolean =>
      known.certificates.some((certificate) => certificateFingerprint(certificate) === fingerprint);
    if (served.signing.some(isKnown)) throw error;
    return served;
  }
}

/** The roots that a pilot reports. Undefined if the pilot is not Serin's, or is too old for this report. */
async function reportedRoots(view: ClusterView, pod: Pod, { certificates }: KnownRoots): Promise<PodRoots | undefined> {
  const report = await answerOf<RootsReport>(view, pilotPod(pod), rootsQuestion);
  if (report === undefined) return undefined;
  const named = (fingerprint: string): RootCertificate =>
    certificates.map(rootOf).find((root) => root.fingerprint === fingerprint) ?? {
      fingerprint,
      subject: "",
      notAfter: "",
    };
  return { signing: [named(report.signing)], trusted: report.trusted.map(named) };
}

/**
 * The root of the certificate that the pilot serves: the known root that signed it, or what the last certificate of its
 * chain says about the root.
 */
async function servedRoots(view: ClusterView, pod: Pod, { certificates, published }: KnownRoots): Promise<PodRoots> {
  const pilot = pilotPod(pod);
  const chain = await servedChain(pilot.address).catch((error: unknown) => {
    throw unanswered(view, pilot, certificateQuestion, error);
  });
  const top = chain.at(-1);
  if (top === undefined) {
    const fault = new Error(`${formatAuthority(pilot.address, discoveryPort)} serves no certificate`);
    throw unanswered(view, pilot, certificateQuestion, fault);
  }
  view.silentPods.answered(`${pilot.namespace}/${pilot.name}`);
  const signer = certificates.find(
    (candidate) =>
      candidate.fingerprint256 === top.fingerprint256 ||
      (candidate.ca && top.checkIssued(candidate) && top.verify(candidate.publicKey)),
  );
  if (signer !== undefined) return { signing: [rootOf(signer)], trusted: published };
  const foreign =
    top.subject === top.issuer ? rootOf(top) : { fingerprint: "unknown", subject: oneLine(top.issuer), notAfter: "" };
  return { signing: [foreign], trusted: published };
}

const handshakeTimeoutMs = 2000;
/**
 * The subject for errors about the certificate that a pilot serves. The engine gets it by a TLS handshake at {@link
 * discoveryPort}.
 */
const certificateQuestion: PilotQuestion = { path: "", about: "by which root it signs" };

/** The certificates that a server sends, beginning with its own. They are only inspected, not trusted. */
function servedChain(address: string): Promise<X509Certificate[]> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: address,
      port: discoveryPort,
      rejectUnauthorized: false,
      timeout: handshakeTimeoutMs,
      ALPNProtocols: ["h2"],
    });
    const where = formatAuthority(address, discoveryPort);
    const fail = (error: Error): void => {
      socket.destroy();
      reject(connectionError(where, error));
    };
    socket.on("timeout", () => fail(new Error(`${where} did not end the TLS handshake in ${handshakeTimeoutMs} ms`)));
    socket.on("error", fail);
    socket.on("secureConnect", () => {
      const chain = chainOf(socket.getPeerCertificate(true));
      socket.destroy();
      resolve(chain);
    });
  });
}

function chainOf(leaf: DetailedPeerCertificate): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next: DetailedPeerCertificate | undefined = leaf;
  while (next?.raw !== undefined && !chain.some(({ raw }) => raw.equals(next?.raw ?? raw))) {
    chain.push(new X509Certificate(next.raw));
    next = next.issuerCertificate;
  }
  return chain;
}

function certificatesIn(pem: string): X509Certificate[] {
  return certificateBlocks(pem).flatMap((block) => {
    try {
      return [new X509Certificate(block)];
    } catch {
      return [];
    }
  });
}

function rootOf(certificate: X509Certificate): RootCertificate {
  return {
    fingerprint: certificateFingerprint(certificate),
    subject: oneLine(certificate.subject),
    notAfter: new Date(certificate.validTo).toISOString(),
  };
}

function oneLine(name: string): string {
  return name.split("\n").join(", ");
}

function distinct(roots: readonly RootCertificate[]): RootCertificate[] {
  return [...new Map(roots.map((root) => [root.fingerprint, root])).values()];
}
