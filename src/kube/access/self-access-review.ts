import type { KubeClient } from "../client.ts";

/**
 * A right that the caller may have. An absent `group` is the core group. Any other absent field matches every value.
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
  /** Whether the caller has the right. False if the review failed. */
  readonly allowed: boolean;
  /** The API server's reason for a denial, if it gives one. */
  readonly reason: string;
  /** The HTTP status of the review request. A status of 300 or more means that the review failed. */
  readonly httpStatus: number;
  readonly text: string;
}

/** Asks the API server, by a SelfSubjectAccessReview, whether the client's own user has the right. */
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
