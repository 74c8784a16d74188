import { alwaysRejectAnnotation, istioGatewayKind, istioLabels } from "../../api/istio/index.ts";
import { messageOf } from "../../base/index.ts";
import { denialIn, isKubeCode, lacksDryRun, type KubeClient } from "../../kube/index.ts";

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
    // Only a refusal that names the field proves our validation, because ours names it.
    if (
      (denialIn(message) !== undefined && message.includes(alwaysRejectAnnotation)) ||
      lacksDryRun(message) ||
      isKubeCode(error, "not-found")
    )
      return undefined;
    return message;
  }
}
