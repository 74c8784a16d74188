import { alwaysRejectAnnotation, istioGatewayKind, istioLabels } from "../../api/istio/index.ts";
import { messageOf } from "../../base/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";

/**
 * Tests with a dry run of an always refused object whether the API server calls this revision's validation. Returns the
 * reason if it does not. If undefined, validation works, or cannot be tested because the kind is not installed or
 * another webhook does not support dry runs.
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
    annotations: { [alwaysRejectAnnotation]: "true" },
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
    return "an object that must be refused was accepted";
  } catch (error) {
    const message = messageOf(error);
    // The API server's own text, and the field that our validation reports.
    if (
      (message.includes("denied the request") && message.includes(alwaysRejectAnnotation)) ||
      message.includes("does not support dry run") ||
      isKubeCode(error, "not-found")
    )
      return undefined;
    return message;
  }
}
