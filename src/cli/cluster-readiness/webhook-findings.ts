import type { LabelSelector } from "../../api/index.ts";
import { alwaysRejectAnnotation, istioGatewayKind, istioLabels } from "../../api/istio/index.ts";
import { denialIn, lacksDryRun, type Denial, type KubeClient } from "../../kube/index.ts";
import { readJson } from "./cluster-facts.ts";
import { good, unseen, warning, type ClusterFinding } from "./cluster-finding.ts";

interface WebhookConfiguration {
  readonly metadata?: { readonly name?: string };
  readonly webhooks?: readonly {
    readonly failurePolicy?: string;
    readonly clientConfig?: { readonly service?: { readonly namespace?: string; readonly name?: string } };
    readonly objectSelector?: LabelSelector;
  }[];
}

const subject = "webhooks";
const validators = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const gateways = `${istioGatewayKind.plural}.${istioGatewayKind.group}`;

/**
 * Checks whether the API server reaches the validation webhook of each control plane. It sends a dry run of an object
 * that validation always refuses. The injection webhook listens on the same port, so it is then reachable too. Reports
 * nothing without a mesh.
 */
export async function webhookFindings(client: KubeClient, istioNamespace: string): Promise<ClusterFinding[]> {
  const read = await readJson<{ readonly items?: readonly WebhookConfiguration[] }>(
    client,
    `${validators}?labelSelector=${encodeURIComponent("app=istiod")}`,
  );
  if (read.state === "forbidden") return [unseen(subject, "validatingwebhookconfigurations", read.reason)];
  const found = read.state === "read" ? (read.value.items ?? []) : [];
  // The webhook configurations of a revision and of the default may call the same Service. It is checked once.
  const byService = new Map(found.toReversed().map((configuration) => [serviceOf(configuration), configuration]));
  return await Promise.all(
    [...byService.values()]
      .toReversed()
      .map(async (configuration) => await findingOf(client, istioNamespace, configuration)),
  );
}

function serviceOf({ webhooks = [] }: WebhookConfiguration): string {
  const { namespace = "", name = "" } = webhooks[0]?.clientConfig?.service ?? {};
  return `${namespace}/${name}`;
}

async function findingOf(
  client: KubeClient,
  namespace: string,
  configuration: WebhookConfiguration,
): Promise<ClusterFinding> {
  const [webhook] = configuration.webhooks ?? [];
  const object = `ValidatingWebhookConfiguration ${configuration.metadata?.name ?? ""}`;
  const service = webhook?.clientConfig?.service;
  const place = service === undefined ? "its URL" : `Service ${service.namespace ?? ""}/${service.name ?? ""}`;
  const { status, text } = await client.raw("POST", `${gatewaysPath(namespace)}?dryRun=All`, {
    body: refusedGateway(namespace, webhook?.objectSelector),
  });
  const message = messageIn(text);
  const denial = denialIn(message);
  if (denial !== undefined && isOwn(denial)) return good(subject, object, `the API server reaches ${place}`);
  if (lacksDryRun(message)) return good(subject, object, "cannot be tested: another webhook does not support dry runs");
  if (denial !== undefined)
    return warning(
      subject,
      object,
      `cannot be tested, because ${named(denial)} denies the dry run: ${message}`,
      `let it admit the Gateway ${namespace}/serin-doctor, which serin doctor creates only in dry runs`,
    );
  if (status === 403)
    return warning(
      subject,
      "Cluster",
      `cannot be checked: ${message}`,
      `run the command as a user who may create ${gateways}: kubectl auth can-i create ${gateways} -n ${namespace}`,
    );
  if (status === 404)
    return warning(
      subject,
      `CustomResourceDefinition ${gateways}`,
      "does not exist, although a control plane is installed: istiod reads none of these objects",
      "install the definitions again: serin install with the flags of the installation, or helm upgrade istio-base",
    );
  if (status < 300)
    return warning(
      subject,
      object,
      `the API server accepts what validation would refuse (failurePolicy ${webhook?.failurePolicy ?? "unknown"}): it does not reach ${place}, or istiod is not ready yet`,
      reachability(service?.namespace ?? namespace, service?.name ?? "istiod"),
    );
  return warning(
    subject,
    object,
    `the API server cannot call ${place}: ${message}`,
    reachability(service?.namespace ?? namespace, service?.name ?? "istiod"),
  );
}

/**
 * Whether a control plane's webhook denied the object. The webhook's name begins with the revision, if there is one.
 */
function isOwn({ by, name }: Denial): boolean {
  return by === "webhook" && name.endsWith("validation.istio.io");
}

function named({ by, name }: Denial): string {
  return by === "webhook" ? `webhook ${name}` : `ValidatingAdmissionPolicy ${name}`;
}

function reachability(namespace: string, service: string): string {
  return `let the API server reach TCP port 15017 of istiod's pods (docs/platforms.md), and see whether there is a ready one: kubectl get endpointslices -n ${namespace} -l kubernetes.io/service-name=${service}. Until then pods with sidecars cannot start, and Istio's objects are refused or not validated`;
}

function gatewaysPath(namespace: string): string {
  const [version] = istioGatewayKind.versions;
  return `/apis/${istioGatewayKind.group}/${version}/namespaces/${namespace}/${istioGatewayKind.plural}`;
}

/** An object that the webhook with this selector validates. A revision's webhook selects objects by their label. */
function refusedGateway(namespace: string, selector: LabelSelector = {}): object {
  const named = selector.matchExpressions?.find(
    ({ key, operator }) => key === istioLabels.revision && operator === "In",
  )?.values?.[0];
  return {
    apiVersion: `${istioGatewayKind.group}/${istioGatewayKind.versions[0]}`,
    kind: istioGatewayKind.kind,
    metadata: {
      name: "serin-doctor",
      namespace,
      labels: named === undefined ? {} : { [istioLabels.revision]: named },
      annotations: { [alwaysRejectAnnotation]: "true" },
    },
    spec: {},
  };
}

function messageIn(text: string): string {
  try {
    return (JSON.parse(text) as { readonly message?: string }).message ?? "";
  } catch {
    return text.slice(0, 200);
  }
}
