import { istioGatewayKind, istioLabels } from "../../api/istio/index.ts";
import { messageOf } from "../../base/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";

/** Whoever has it is refused: by upstream's control planes too, which try theirs by it. */
const alwaysReject = "internal.istio.io/webhook-always-reject";

/**
 * Why it is not shown yet that the API server asks this revision's validation and takes its answers; undefined: it is. Shown by a dry run
 * of what is always refused. Where the kind is not installed, or another webhook cannot do dry runs, there is nothing to wait for.
 */
export async function validationDoubt(
  client: KubeClient,
  namespace: string,
  revision: string,
): Promise<string | undefined> {
  const metadata = {
    name: "invalid-gateway",
    namespace,
    labels: { [istioLabels.revision]: revision },
    annotations: { [alwaysReject]: "true" },
  };
  try {
    await client.create(
      istioGatewayKind,
      {
        apiVersion: `${istioGatewayKind.group}/${istioGatewayKind.versions[0] ?? ""}`,
        kind: istioGatewayKind.kind,
        metadata,
        spec: {},
      } as never,
      { dryRun: true },
    );
    return "an object that must be refused was taken";
  } catch (error) {
    const message = messageOf(error);
    // The API server's own words, and the field that our answer names.
    if (
      (message.includes("denied the request") && message.includes(alwaysReject)) ||
      message.includes("does not support dry run") ||
      isKubeCode(error, "not-found")
    )
      return undefined;
    return message;
  }
}
