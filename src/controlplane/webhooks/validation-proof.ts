import { alwaysRejectAnnotation, istioGatewayKind, istioLabels } from "../../api/istio/index.ts";
import { messageOf } from "../../base/index.ts";
import { denialIn, isKubeCode, lacksDryRun, type KubeClient } from "../../kube/index.ts";

/**
 * Tests whether the API server calls this revision's validation, by a dry run with an object that is always refused.
 * Returns why it does not. Undefined if validation works, or cannot be tested because the kind is not installed or
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
    // Only our validation names the field in its refusal.
    if (
      (denialIn(message) !== undefined && message.includes(alwaysRejectAnnotation)) ||
      lacksDryRun(message) ||
      isKubeCode(error, "not-found")
    )
      return undefined;
    return message;
  }
}
