export interface Denial {
  readonly by: "webhook" | "policy";
  readonly name: string;
}

const denial = /admission webhook "([^"]+)" denied the request|ValidatingAdmissionPolicy '([^']+)'.* denied request/;

/**
 * Finds out from an API server's error message who denied the request at admission. Returns undefined if nobody did.
 * HTTP status and reason do not show this, because a webhook chooses both, and most denials look like a missing right.
 */
export function denialIn(message: string): Denial | undefined {
  const [, webhook, policy] = denial.exec(message) ?? [];
  if (webhook !== undefined) return { by: "webhook", name: webhook };
  return policy === undefined ? undefined : { by: "policy", name: policy };
}

/** Whether an error message says that a webhook does not support dry runs. */
export function lacksDryRun(message: string): boolean {
  return message.includes("does not support dry run");
}

const unanswered = /failed calling webhook "([^"]+)"/;
/** Matches the names of webhooks of a control plane or of the rollout engine. */
const ofTheMesh = /\.(istio\.io|serin\.dev)$/;

/** Says what to do if an error message reports that a webhook did not answer. Returns undefined for other messages. */
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
 * Says what to do if an error message reports a refusal by a platform or a quota. Returns undefined for other messages.
 * `[denied by autogke-…]` names a constraint of GKE Autopilot.
 */
export function refusalHint(message: string): string | undefined {
  if (/\[denied by autogke-/.test(message)) return autopilotHint;
  const [, quota] = /exceeded quota: ([\w.-]+)/.exec(message) ?? [];
  return quota === undefined
    ? undefined
    : `the ResourceQuota ${quota} of the namespace admits no more: raise it, or remove what uses it up (kubectl describe quota ${quota} -n <namespace>)`;
}
