import type { KubeClient } from "../client.ts";

/**
 * The right that a caller checks for itself. An absent `group` means the core group. Any other absent field means all
 * values.
 */
export interface SelfAccess {
  readonly verb: string;
  readonly group?: string;
  readonly version?: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name?: string;
}

export interface SelfAccessAnswer {
  /** Whether the user has the right. False if the API server did not answer the review. */
  readonly allowed: boolean;
  /** The API server's reason for a denial, if it gives one. */
  readonly reason: string;
  /** The HTTP status of the request that creates the review. Every user may create one. */
  readonly httpStatus: number;
  readonly text: string;
}

/** Creates a SelfSubjectAccessReview with the client's own credentials, and returns its result. */
export async function askSelfAccess(client: KubeClient, resourceAttributes: SelfAccess): Promise<SelfAccessAnswer> {
  const { status: httpStatus, text } = await client.raw(
    "POST",
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    {
      body: {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SelfSubjectAccessReview",
        spec: { resourceAttributes },
      },
    },
  );
  if (httpStatus >= 300) return { allowed: false, reason: "", httpStatus, text };
  const { status } = JSON.parse(text) as { status?: { allowed?: boolean; reason?: string } };
  return { allowed: status?.allowed === true, reason: status?.reason ?? "", httpStatus, text };
}
