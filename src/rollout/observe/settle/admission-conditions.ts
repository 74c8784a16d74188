import { truncated } from "../../../base/index.ts";
import { validatingWebhookConfigurationKind, type Pod } from "../../../api/kubernetes/index.ts";
import { nonRootUser, restrictedContext } from "../../../api/pod-security/index.ts";
import { defaultValidatorName } from "../../../api/istio/index.ts";
import { denialIn, errorOfStatus, type KubeClient } from "../../../kube/index.ts";
import type { SettleState } from "../../decide/index.ts";

/** A message may contain the messages of several webhooks. */
const messageCharacters = 300;

/** The engine's own namespace, whose labels request no sidecars. */
const testNamespace = "serin-system";
const revisionKey = "istio.io/rev";

/** The namespace may have a level of PodSecurity by default, and a quota that counts limits. */
const testContainer = {
  name: "test",
  image: "none",
  resources: { requests: { cpu: "1m", memory: "1Mi" }, limits: { cpu: "10m", memory: "16Mi" } },
  securityContext: restrictedContext(nonRootUser),
} as const;

/** Tests with a dry run whether the revision injects a pod that names the tag. */
export async function tagServesState(client: KubeClient, tag: string, revision: string): Promise<SettleState> {
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `tag-test-${tag.replaceAll(".", "-")}`,
      namespace: testNamespace,
      labels: { [revisionKey]: tag, "istio.io/dataplane-mode": "none" },
    },
    spec: { containers: [testContainer] },
  };
  const { status, text } = await client.raw("POST", `/api/v1/namespaces/${testNamespace}/pods?dryRun=All`, {
    body: pod,
  });
  if (status >= 300) {
    const refusal = errorOfStatus({ verb: "dry run", object: `a pod of tag ${tag}` }, status, text);
    return { state: "waiting", detail: truncated(refusal.message, messageCharacters) };
  }
  const found = (JSON.parse(text) as Pod).metadata.annotations?.[revisionKey];
  if (found === revision) return { state: "met" };
  return {
    state: "waiting",
    detail:
      found === undefined
        ? `a dry-run pod of tag ${tag} gets no sidecar`
        : `a dry-run pod of tag ${tag} gets its sidecar from ${found}`,
  };
}

/** An AuthorizationPolicy with an unknown attribute. Schemas accept it, and every validator refuses it. */
const invalidPolicy = {
  apiVersion: "security.istio.io/v1",
  kind: "AuthorizationPolicy",
  metadata: { name: "validator-test", namespace: testNamespace },
  spec: { action: "ALLOW", rules: [{ when: [{ key: "no.such.attribute", values: ["x"] }] }] },
};

/** Tests with a dry run of an invalid object whether this revision validates objects without a revision label. */
export async function validatorServesState(client: KubeClient, revision: string): Promise<SettleState> {
  const found = await client.get(validatingWebhookConfigurationKind, defaultValidatorName);
  const service = found?.webhooks?.[0]?.clientConfig.service?.name;
  if (found === undefined) return { state: "met" };
  const expected = revision === "default" ? "istiod" : `istiod-${revision}`;
  if (found.metadata.labels?.[revisionKey] !== revision)
    return {
      state: "waiting",
      detail: `${defaultValidatorName} points to ${service ?? "no Service"}, not to ${expected}`,
    };
  const { status, text } = await client.raw(
    "POST",
    `/apis/security.istio.io/v1/namespaces/${testNamespace}/authorizationpolicies?dryRun=All`,
    { body: invalidPolicy },
  );
  if (status === 404) return { state: "met" };
  if (status < 300)
    return {
      state: "waiting",
      detail: `${service ?? expected} is not called yet: an invalid AuthorizationPolicy is accepted`,
    };
  const refusal = errorOfStatus({ verb: "dry run", object: "a wrong AuthorizationPolicy" }, status, text);
  const isAnswer = denialIn(refusal.message)?.by === "webhook" || /no\.such\.attribute|unknown attribute/.test(text);
  return isAnswer
    ? { state: "met" }
    : {
        state: "waiting",
        detail: `${service ?? expected} does not validate yet: ${truncated(refusal.message, messageCharacters)}`,
      };
}
