import { definedFields, truncated } from "../../../base/index.ts";
import {
  validatingWebhookConfigurationKind,
  type Container,
  type Pod,
  type PodSpec,
} from "../../../api/kubernetes/index.ts";
import { nonRootUser, restrictedContext } from "../../../api/pod-security/index.ts";
import { defaultValidatorName, istioAnnotations, istioLabels } from "../../../api/istio/index.ts";
import { denialIn, errorOfStatus, type KubeClient } from "../../../kube/index.ts";
import type { SettleState } from "../../decide/index.ts";
import type { ClusterView } from "../cluster-view.ts";

/** The maximum length of an API server's message in a state. It may contain the messages of several webhooks. */
const messageCharacters = 300;

/** The engine's own namespace. Its labels request no sidecars, so only the dry run's own label decides. */
const testNamespace = "serin-system";

/** A container that PodSecurity's level `restricted` admits, and also a quota that requires limits. */
const strictContainer: Container = {
  name: "test",
  image: "none",
  resources: { requests: { cpu: "10m", memory: "16Mi" }, limits: { cpu: "10m", memory: "16Mi" } },
  securityContext: restrictedContext(nonRootUser),
};

/**
 * The spec of the dry run's pod. It has the image, resources and security settings of the engine's own pod, because the
 * namespace has admitted that one: policies may allow only some registries, and quotas only some resources.
 */
function admittedSpec(view: Pick<ClusterView, "podsIn">): PodSpec {
  for (const { spec } of view.podsIn(testNamespace)) {
    const engine = spec?.containers.find(({ name }) => name === "engine");
    if (engine === undefined) continue;
    const { image, resources, securityContext } = engine;
    return {
      ...definedFields({ priorityClassName: spec?.priorityClassName, securityContext: spec?.securityContext }),
      containers: [{ name: "test", ...definedFields({ image, resources, securityContext }) }],
    };
  }
  return { containers: [strictContainer] };
}

/** Whether the revision injects a pod that names the tag, tested by a dry run. */
export async function tagServesState(
  { client, view }: { readonly client: KubeClient; readonly view: Pick<ClusterView, "podsIn"> },
  { tag, revision }: { readonly tag: string; readonly revision: string },
): Promise<SettleState> {
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `tag-test-${tag.replaceAll(".", "-")}`,
      namespace: testNamespace,
      labels: { [istioLabels.revision]: tag, "istio.io/dataplane-mode": "none" },
      // Without a redirect of traffic, no container needs NET_ADMIN, which the namespace may forbid.
      annotations: { [istioAnnotations.interceptionMode]: "NONE" },
    },
    spec: admittedSpec(view),
  };
  const { status, text } = await client.raw("POST", `/api/v1/namespaces/${testNamespace}/pods?dryRun=All`, {
    body: pod,
  });
  if (status >= 300) {
    const refusal = errorOfStatus({ verb: "dry run", object: `a pod of tag ${tag}` }, status, text);
    return { state: "waiting", detail: truncated(refusal.message, messageCharacters) };
  }
  const found = (JSON.parse(text) as Pod).metadata.annotations?.[istioLabels.revision];
  if (found === revision) return { state: "met" };
  return {
    state: "waiting",
    detail:
      found === undefined
        ? `a dry-run pod of tag ${tag} gets no sidecar`
        : `a dry-run pod of tag ${tag} gets its sidecar from ${found}`,
  };
}

/** An AuthorizationPolicy with an unknown attribute. The CRD's schema accepts it, and every validator refuses it. */
const invalidPolicy = {
  apiVersion: "security.istio.io/v1",
  kind: "AuthorizationPolicy",
  metadata: { name: "validator-test", namespace: testNamespace },
  spec: { action: "ALLOW", rules: [{ when: [{ key: "no.such.attribute", values: ["x"] }] }] },
};

/**
 * Whether this revision validates objects without a revision label, tested by a dry run of an invalid object. Also
 * `met` if there is no default validator.
 */
export async function validatorServesState(client: KubeClient, revision: string): Promise<SettleState> {
  const found = await client.get(validatingWebhookConfigurationKind, defaultValidatorName);
  const service = found?.webhooks?.[0]?.clientConfig.service?.name;
  if (found === undefined) return { state: "met" };
  const expected = revision === "default" ? "istiod" : `istiod-${revision}`;
  if (found.metadata.labels?.[istioLabels.revision] !== revision)
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
