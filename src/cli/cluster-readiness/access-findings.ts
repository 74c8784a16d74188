import { shellWord } from "../../base/index.ts";
import { installedKinds, installVerbs } from "../../install/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { callerName, readJson, whyNot, type Access } from "./cluster-facts.ts";
import { fault, good, unseen, warning, type ClusterFinding } from "./cluster-finding.ts";

export async function rightsFindings(client: KubeClient, istioNamespace: string): Promise<ClusterFinding[]> {
  const name = await callerName(client);
  const user = `User ${name ?? "of the kubeconfig's context"}`;
  if ((await whyNot(client, { verb: "*", group: "*", resource: "*" })) === undefined)
    return [good("rights", user, "may do everything")];
  const remedy = `run as an administrator: ${grantCommand(name)}`;
  const missing: ClusterFinding[] = [];
  for (const { group, kind, plural, namespaced } of installedKinds) {
    const access = { group, resource: plural, ...(namespaced ? { namespace: istioNamespace } : {}) };
    const denied = await deniedVerbs(client, access, installVerbs(kind));
    if (denied.length === 0) continue;
    const place = namespaced ? ` in namespace ${istioNamespace}` : "";
    const detail = `may not ${denied.join(", ")} ${plural}${group === "" ? "" : `.${group}`}${place}`;
    missing.push(fault("rights", user, detail, remedy));
  }
  if (missing.length > 0) return missing;
  return [
    good("rights", user, "may write every kind that an installation has"),
    ...(await escalation(client, user, remedy)),
  ];
}

async function deniedVerbs(
  client: KubeClient,
  access: Omit<Access, "verb">,
  verbs: readonly string[],
): Promise<string[]> {
  const reasons = await Promise.all(verbs.map(async (verb) => await whyNot(client, { ...access, verb })));
  return verbs.filter((_verb, index) => reasons[index] !== undefined);
}

/**
 * Checks whether the caller has the verb `escalate`. Kubernetes lets callers without it write only roles whose
 * permissions they all have.
 */
async function escalation(client: KubeClient, user: string, remedy: string): Promise<ClusterFinding[]> {
  const group = "rbac.authorization.k8s.io";
  if ((await whyNot(client, { verb: "escalate", group, resource: "clusterroles" })) === undefined) return [];
  const detail = "may not escalate clusterroles: the API server refuses roles with rights that this user does not have";
  return [warning("rights", user, detail, remedy)];
}

const serviceAccountPrefix = "system:serviceaccount:";

function grantCommand(name: string | undefined): string {
  const subject =
    name?.startsWith(serviceAccountPrefix) === true
      ? `--serviceaccount=${name.slice(serviceAccountPrefix.length)}`
      : `--user=${name === undefined ? "<name>" : shellWord(name)}`;
  return `kubectl create clusterrolebinding serin-installer --clusterrole=cluster-admin ${subject}`;
}

interface NamespaceObject {
  readonly metadata?: { readonly labels?: Readonly<Record<string, string>> };
}

const enforceLabel = "pod-security.kubernetes.io/enforce";

/** Whether PodSecurity in the namespace allows the CNI agent and ztunnel, which are privileged. */
export async function podSecurityFinding(client: KubeClient, istioNamespace: string): Promise<ClusterFinding> {
  const [subject, object] = ["PodSecurity", `Namespace ${istioNamespace}`];
  const read = await readJson<NamespaceObject>(client, `/api/v1/namespaces/${istioNamespace}`);
  if (read.state === "forbidden") return unseen(subject, "namespaces", read.reason);
  if (read.state === "absent")
    return good(
      subject,
      object,
      "does not exist yet: the API server's default level, which the API does not show, will apply to it",
    );
  const level = read.value.metadata?.labels?.[enforceLabel];
  if (level === undefined)
    return good(
      subject,
      object,
      `has no label ${enforceLabel}: the API server's default level, which the API does not show, applies`,
    );
  if (level === "privileged") return good(subject, object, `${enforceLabel} is privileged`);
  return fault(
    subject,
    object,
    `${enforceLabel} is ${level}: the API server will refuse the pods of istio-cni-node and ztunnel, and accept the others`,
    `kubectl label namespace ${istioNamespace} ${enforceLabel}=privileged --overwrite`,
  );
}
