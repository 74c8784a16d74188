import { certificateSigningRequestKind, type CertificateSigningRequest } from "../../../api/kubernetes/index.ts";
import { messageOf } from "../../../base/index.ts";
import { isKubeCode } from "../../../kube/index.ts";
import { enqueueOn, type ControllerContext } from "../controller.ts";
import { createdMs, isTerminating } from "../pods/pod-facts.ts";

/** Reads the certificate and key of the signing authority in PEM. It is called for each request to sign. */
export type ReadSigningAuthority = () => { readonly certificate: string; readonly key: string };

const ownSigners = "kubernetes.io/";
const hourMs = 3_600_000;
/** How long a request is kept after its creation: one hour if it was answered or approved, one day otherwise. */
const answeredLifeMs = hourMs;
const pendingLifeMs = 24 * hourMs;

/** Signs approved CertificateSigningRequests of Kubernetes' own signers. Deletes old requests of all signers. */
export function addCertificateRequestController(
  context: ControllerContext,
  readAuthority: ReadSigningAuthority | undefined,
): void {
  const requests = context.view(certificateSigningRequestKind);
  const queue = context.queue("certificate-requests", async (key) => {
    const request = requests.at(key);
    if (request === undefined || isTerminating(request)) return undefined;
    const { name = "" } = request.metadata;
    const isAnswered = hasCondition(request, "Denied", "Failed") || (request.status?.certificate ?? "") !== "";
    const lifeMs = isAnswered || hasCondition(request, "Approved") ? answeredLifeMs : pendingLifeMs;
    const leftMs = createdMs(request) + lifeMs - context.clock.nowMs();
    if (leftMs <= 0) return await ignoreMissing(context.client.delete(certificateSigningRequestKind, name));
    const isOurs = request.spec?.signerName.startsWith(ownSigners) === true;
    if (isOurs && !isAnswered && hasCondition(request, "Approved") && readAuthority !== undefined) {
      const status = await answerOf(request, readAuthority, context);
      const patch = context.client.patchMerge(
        certificateSigningRequestKind,
        name,
        undefined,
        { status },
        { subresource: "status" },
      );
      await ignoreMissing(patch);
    }
    return leftMs;
  });
  enqueueOn(requests, queue);
}

/** The status with the certificate, or with the condition that says why there is none. */
async function answerOf(
  request: CertificateSigningRequest,
  readAuthority: ReadSigningAuthority,
  context: ControllerContext,
): Promise<CertificateSigningRequest["status"]> {
  const { signRequest, SignerRefusal } = await import("./certificate-signer.ts");
  const { spec = { request: "", signerName: "" }, status } = request;
  try {
    const pem = signRequest(spec, readAuthority(), context.clock.nowMs());
    return { certificate: Buffer.from(pem).toString("base64") };
  } catch (error) {
    if (!(error instanceof SignerRefusal)) throw error;
    const now = context.now();
    const failed = {
      type: "Failed",
      status: "True",
      reason: "SignerValidationFailure",
      message: messageOf(error),
      lastUpdateTime: now,
      lastTransitionTime: now,
    };
    return { conditions: [...(status?.conditions ?? []), failed] };
  }
}

function hasCondition({ status }: CertificateSigningRequest, ...types: readonly string[]): boolean {
  return (status?.conditions ?? []).some((condition) => types.includes(condition.type) && condition.status === "True");
}

async function ignoreMissing(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isKubeCode(error, "not-found")) throw error;
  }
}
