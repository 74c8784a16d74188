import { secretKind, serviceAccountKind } from "../../../api/kubernetes/index.ts";
import { isKubeCode, resourcePath } from "../../../kube/index.ts";
import { enqueueOn, type ControllerContext } from "../controller.ts";
import { isTerminating } from "../pods/pod-facts.ts";

const tokenType = "kubernetes.io/service-account-token";
const accountAnnotation = "kubernetes.io/service-account.name";
/**
 * The lifetime of a token. It is the maximum that the API server grants, because users expect these Secrets to last.
 */
const tokenSeconds = 365 * 86_400;

/**
 * Fills Secrets of type `kubernetes.io/service-account-token` with a token. Deletes them when their account is deleted.
 */
export function addTokenSecretController(context: ControllerContext, rootCaPem: string): void {
  const secrets = context.view(secretKind, `type=${tokenType}`);
  const accounts = context.view(serviceAccountKind);

  const queue = context.queue("token-secret", async (key) => {
    const secret = secrets.at(key);
    const account = secret?.metadata.annotations?.[accountAnnotation];
    if (secret?.type !== tokenType || account === undefined || isTerminating(secret)) return;
    const { name = "", namespace = "", uid = "" } = secret.metadata;
    const owner = accounts.get(namespace, account);
    if (owner === undefined) {
      if (secret.data?.["token"] !== undefined)
        await context.client.delete(secretKind, name, namespace, { preconditions: { uid } });
      return;
    }
    if (secret.data?.["token"] !== undefined) return;
    const body = {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: { expirationSeconds: tokenSeconds, boundObjectRef: { apiVersion: "v1", kind: "Secret", name, uid } },
    };
    const answer = await context.client.raw("POST", resourcePath(serviceAccountKind, namespace, account, "token"), {
      body,
    });
    const token = (JSON.parse(answer.text) as { status?: { token?: string } }).status?.token;
    if (token === undefined) throw new Error(`no token for ${namespace}/${account}: HTTP status ${answer.status}`);
    const encode = (text: string): string => Buffer.from(text).toString("base64");
    const patch = {
      metadata: { annotations: { "kubernetes.io/service-account.uid": owner.metadata.uid } },
      data: { token: encode(token), "ca.crt": encode(rootCaPem), namespace: encode(namespace) },
    };
    try {
      secrets.wrote(await context.client.patchMerge(secretKind, name, namespace, patch));
    } catch (error) {
      if (!isKubeCode(error, "not-found")) throw error;
    }
  });

  enqueueOn(secrets, queue);
  accounts.onChange(({ object }) => {
    for (const secret of secrets.all()) {
      const { namespace = "", name = "", annotations } = secret.metadata;
      if (
        secret.type === tokenType &&
        namespace === object.metadata.namespace &&
        annotations?.[accountAnnotation] === object.metadata.name
      )
        queue.add(`${namespace}/${name}`);
    }
  });
}
