/** Who denied a request at admission. */
export interface Denial {
  readonly by: "webhook" | "policy";
  readonly name: string;
}

const denial = /admission webhook "([^"]+)" denied the request|ValidatingAdmissionPolicy '([^']+)'.* denied request/;

/**
 * Who denied the request, according to the message of the API server's answer. The answer's status and reason cannot
 * show it, because a webhook chooses both, and most denials look like a missing right. Undefined if admission did not
 * deny the request.
 */
export function denialIn(message: string): Denial | undefined {
  const [, webhook, policy] = denial.exec(message) ?? [];
  if (webhook !== undefined) return { by: "webhook", name: webhook };
  return policy === undefined ? undefined : { by: "policy", name: policy };
}

/** Whether a dry run was refused because a webhook has side effects, from the message of the API server's answer. */
export function lacksDryRun(message: string): boolean {
  return message.includes("does not support dry run");
}

const unanswered = /failed calling webhook "([^"]+)"/;
/** The names of the webhooks of a control plane and of the rollout engine. */
const ofTheMesh = /\.(istio\.io|serin\.dev)$/;

/**
 * What to do when the API server refuses requests because a webhook does not answer. Undefined if the message has
 * another cause.
 */
export function unansweredHint(message: string): string | undefined {
  const [, name] = unanswered.exec(message) ?? [];
  if (name === undefined) return undefined;
  if (ofTheMesh.test(name))
    return "the mesh's own webhook does not answer, and this says why: serin doctor --kubernetes";
  return `the admission webhook ${name}, which is not the mesh's, does not answer: start its server, or exempt the namespace in its configuration (kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations)`;
}

const autopilotHint =
  "GKE Autopilot admits neither the CNI agent nor a ztunnel, because both enter namespaces of the node's pods. Use a Standard cluster for the ambient mode. For sidecars without the agent (--set profile=default), create the Autopilot cluster with --workload-policies=allow-net-admin";

/**
 * What to do about a platform or a quota that refuses an object. Undefined if the message has another cause. The names
 * in brackets are those of GKE's constraints.
 */
export function refusalHint(message: string): string | undefined {
  if (/\[denied by autogke-/.test(message)) return autopilotHint;
  const [, quota] = /exceeded quota: ([\w.-]+)/.exec(message) ?? [];
  return quota === undefined
    ? undefined
    : `the ResourceQuota ${quota} of the namespace admits no more: raise it, or remove what uses it up (kubectl describe quota ${quota} -n <namespace>)`;
}
