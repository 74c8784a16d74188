import { messageOf } from "../../base/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import type { CliContext } from "../context.ts";
import { ConfigDump, jsonNames } from "../../proxy-dump/index.ts";
import { askAdmin, hasProxy, parseAdminJson, type AdminFlags } from "../proxies/proxy-admin.ts";
import { appliedPolicies, matchNothing } from "./authz-check.ts";
import { appliesTo, type MeshObjects, type PeerAuthenticationSpec, type Written } from "./mesh-objects.ts";

/** Describes who may reach the pod: the mTLS mode, and the policies in the cluster and in the pod's proxy. */
export async function describeAuthorization(
  pod: Pod,
  { peerAuthentications, authorizationPolicies }: MeshObjects,
  rootNamespace: string,
  flags: AdminFlags,
  context: CliContext,
): Promise<string[]> {
  const { namespace = "", labels = {} } = pod.metadata;
  const peers = peerAuthentications.filter((peer) => appliesTo(peer, namespace, labels, rootNamespace));
  const policies = authorizationPolicies.filter(
    (policy) => policy.spec.targetRefs === undefined && appliesTo(policy, namespace, labels, rootNamespace),
  );
  const lines = [
    "Effective PeerAuthentication:",
    `   Workload mTLS mode: ${effectiveMode(peers, rootNamespace)}`,
    ...portModes(peers),
  ];
  if (peers.length > 0) lines.push("Applied PeerAuthentication:", `   ${names(peers)}`);
  if (policies.length > 0)
    lines.push(
      "Applied AuthorizationPolicy:",
      `   ${policies.map(({ metadata, spec }) => `${metadata.name ?? ""}.${metadata.namespace ?? ""} (${spec.action ?? "ALLOW"})`).join(", ")}`,
    );
  return [...lines, ...(await enforcedLines(pod, flags, context))];
}

export function requiresMutualTls(
  { metadata: { namespace = "", labels = {} } }: Pod,
  { peerAuthentications }: MeshObjects,
  rootNamespace: string,
): boolean {
  const peers = peerAuthentications.filter((peer) => appliesTo(peer, namespace, labels, rootNamespace));
  return effectiveMode(peers, rootNamespace) === "STRICT" && portModes(peers).length === 0;
}

function names(objects: readonly Written<unknown>[]): string {
  return objects.map(({ metadata }) => `${metadata.name ?? ""}.${metadata.namespace ?? ""}`).join(", ");
}

function isSelecting({ spec }: Written<PeerAuthenticationSpec>): boolean {
  return Object.keys(spec.selector?.matchLabels ?? {}).length > 0;
}

/**
 * The mTLS mode of the most specific policy: of the pod, else of the namespace, else of the mesh. UNSET defers to the
 * next wider one.
 */
function effectiveMode(peers: readonly Written<PeerAuthenticationSpec>[], rootNamespace: string): string {
  const rank = (peer: Written<PeerAuthenticationSpec>): number =>
    isSelecting(peer) ? 0 : peer.metadata.namespace === rootNamespace ? 2 : 1;
  const modes = peers.toSorted((a, b) => rank(a) - rank(b)).map(({ spec }) => spec.mtls?.mode ?? "UNSET");
  return modes.find((mode) => mode !== "UNSET") ?? "PERMISSIVE";
}

function portModes(peers: readonly Written<PeerAuthenticationSpec>[]): string[] {
  const ports = Object.entries(peers.find(isSelecting)?.spec.portLevelMtls ?? {});
  return ports.length === 0
    ? []
    : ["   Port Level mTLS mode:", ...ports.map(([port, { mode = "UNSET" }]) => `      ${port}: ${mode}`)];
}

/** The policies in the pod's proxy, which may be older than the objects in the cluster. */
async function enforcedLines(pod: Pod, flags: AdminFlags, context: CliContext): Promise<string[]> {
  if (!hasProxy(pod)) return [];
  const { name = "", namespace = "" } = pod.metadata;
  try {
    const text = await askAdmin(
      { name, namespace },
      "GET",
      "/config_dump?mask=dynamic_listeners,static_listeners",
      flags,
      context,
    );
    const found = appliedPolicies(new ConfigDump(jsonNames(parseAdminJson(text, name)), name)).filter(
      (policy) => policy.name !== matchNothing,
    );
    return found.length === 0
      ? []
      : [
          `RBAC policies: ${found.map((policy) => `${policy.name} (${policy.action}, ${policy.rules} rule${policy.rules === 1 ? "" : "s"})`).join(", ")}`,
        ];
  } catch (error) {
    return [`The proxy cannot be asked what it enforces: ${messageOf(error)}`];
  }
}
