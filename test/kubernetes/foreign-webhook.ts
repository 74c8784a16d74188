// An admission webhook of somebody else, such as a policy engine. It listens at the client's address.
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { join } from "node:path";
import { isTree } from "../../src/base/index.ts";
import type { UntypedObject } from "../../src/api/index.ts";
import { clientAddress, type ClusterFiles } from "./cluster-layout.ts";

const port = 9443;
export const mutatingWebhookName = "change.policies.example.com";
export const validatingWebhookName = "images.policies.example.com";
/** The registry to which the webhook changes images of {@link hub}. */
export const mirror = "mirror.example.com";
const hub = "ghcr.io";
/** What the webhook adds, as policies of a platform do. */
const label = { "policies.example.com/team": "platform" };
const environment = { name: "POLICY_REGION", value: "west" };
const toleration = { key: "policies.example.com/spot", operator: "Exists", effect: "NoSchedule" };

interface PodSpec {
  containers?: ContainerSpec[];
  initContainers?: ContainerSpec[];
  tolerations?: object[];
}

interface ContainerSpec {
  image?: string;
  env?: { name: string; value?: string }[];
}

interface Review {
  readonly request: { readonly uid: string; readonly object: UntypedObject };
}

/** The JSON pointer to an object's pod template. Empty for a pod. */
function templateOf(object: UntypedObject): { readonly pointer: string; readonly template: Record<string, unknown> } {
  if (object.kind === "Pod") return { pointer: "", template: object };
  const { template } = object["spec"] as { readonly template: Record<string, unknown> };
  return { pointer: "/spec/template", template };
}

function changedContainer({ env = [], ...container }: ContainerSpec): ContainerSpec {
  const image = container.image?.replace(new RegExp(`^${hub.replace(".", String.raw`\.`)}/`), `${mirror}/`);
  const kept = env.filter(({ name }) => name !== environment.name);
  return { ...container, ...(image === undefined ? {} : { image }), env: [...kept, environment] };
}

/** What the webhook changes in a pod or workload: images, a label, a variable and a toleration. */
function patchesFor(object: UntypedObject): object[] {
  const { pointer, template } = templateOf(object);
  const spec = template["spec"] as PodSpec;
  const metadata = isTree(template["metadata"]) ? template["metadata"] : {};
  const labels = isTree(metadata["labels"]) ? metadata["labels"] : {};
  const add = (path: string, value: unknown): object => ({ op: "add", path: `${pointer}${path}`, value });
  const isTolerated = spec.tolerations?.some((one) => (one as { key?: string }).key === toleration.key) === true;
  return [
    add("/metadata", { ...metadata, labels: { ...labels, ...label } }),
    ...(spec.initContainers === undefined
      ? []
      : [add("/spec/initContainers", spec.initContainers.map(changedContainer))]),
    add("/spec/containers", (spec.containers ?? []).map(changedContainer)),
    ...(isTolerated ? [] : [add("/spec/tolerations", [...(spec.tolerations ?? []), toleration])]),
  ];
}

function answerTo(path: string, { request }: Review): object {
  const { uid, object } = request;
  // The API server adds its time limit to the path.
  if (path.startsWith("/change")) {
    const patch = Buffer.from(JSON.stringify(patchesFor(object))).toString("base64");
    return { uid, allowed: true, patchType: "JSONPatch", patch };
  }
  const { containers = [] } = templateOf(object).template["spec"] as PodSpec;
  const foreign = containers.find(({ image = "" }) => image.startsWith(`${hub}/`))?.image;
  if (foreign === undefined) return { uid, allowed: true };
  return { uid, allowed: false, status: { code: 403, message: `image ${foreign} must come from ${mirror}` } };
}

/** The server of both webhooks. While it is closed, the API server refuses what the webhooks would review. */
export class ForeignWebhook {
  readonly #files: ClusterFiles;
  #server: Server | undefined;

  constructor(files: ClusterFiles) {
    this.#files = files;
  }

  async listen(): Promise<void> {
    const file = (name: string): Buffer => readFileSync(join(this.#files.pki, name));
    const server = createServer(
      { cert: file("foreign-webhook.crt"), key: file("foreign-webhook.key") },
      (incoming, answer) => void review(incoming, answer),
    );
    this.#server = server;
    await new Promise<void>((resolve) => void server.listen(port, clientAddress, resolve));
  }

  close(): void {
    this.#server?.closeAllConnections();
    this.#server?.close();
    this.#server = undefined;
  }

  /** Sends every pod and workload to the webhook, except those of kube-system. */
  configuration(kind: "Mutating" | "Validating"): UntypedObject {
    const isMutating = kind === "Mutating";
    const caBundle = readFileSync(join(this.#files.pki, "ca.crt")).toString("base64");
    return {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: `${kind}WebhookConfiguration`,
      metadata: { name: "policies-of-others" },
      webhooks: [
        {
          name: isMutating ? mutatingWebhookName : validatingWebhookName,
          clientConfig: { url: `https://${clientAddress}:${port}/${isMutating ? "change" : "validate"}`, caBundle },
          rules: [
            { apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"] },
            {
              apiGroups: ["apps"],
              apiVersions: ["v1"],
              resources: ["deployments", "daemonsets", "statefulsets"],
              operations: ["CREATE", "UPDATE"],
            },
          ],
          namespaceSelector: {
            matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "NotIn", values: ["kube-system"] }],
          },
          failurePolicy: "Fail",
          sideEffects: "None",
          admissionReviewVersions: ["v1"],
          timeoutSeconds: 5,
          ...(isMutating ? { reinvocationPolicy: "IfNeeded" } : {}),
        },
      ],
    };
  }
}

async function review(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const given = JSON.parse(Buffer.concat(chunks).toString("utf8")) as Review;
  const response = answerTo(incoming.url ?? "", given);
  answer.setHeader("content-type", "application/json");
  answer.end(JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response }));
}
