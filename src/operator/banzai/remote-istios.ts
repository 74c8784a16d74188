import { messageOf, type Clock, type Logger } from "../../base/index.ts";
import { banzaiRemoteIstioKind, type BanzaiStatus } from "../../api/banzai/index.ts";
import { createInformer, type KubeClient } from "../../kube/index.ts";

export interface RemoteIstiosOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
}

const answer: BanzaiStatus = {
  Status: "Unmanaged",
  ErrorMessage:
    "RemoteIstio is not supported and has no effect. Install a control plane in that cluster (an Istio object there), and connect the two for service discovery: serin create-remote-secret",
};

/**
 * Reports in the status of every RemoteIstio that the kind is unsupported. Otherwise its author would wait forever.
 * Returns when `signal` aborts.
 */
export async function answerRemoteIstios(
  { client, clock, log }: RemoteIstiosOptions,
  signal: AbortSignal,
): Promise<void> {
  const remotes = createInformer(client, banzaiRemoteIstioKind, { clock, log });
  remotes.subscribe(({ type, object }) => {
    const { metadata, status } = object;
    if (type === "delete" || (status?.Status === answer.Status && status?.ErrorMessage === answer.ErrorMessage)) return;
    const remote = `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
    log.warn("RemoteIstio is not supported", { remote });
    client
      .patchMerge(
        banzaiRemoteIstioKind,
        metadata.name ?? "",
        metadata.namespace,
        { status: answer },
        { subresource: "status" },
      )
      .catch((error: unknown) =>
        log.warn("the status of a RemoteIstio could not be written", { remote, error: messageOf(error) }),
      );
  });
  await remotes.run(signal);
}
