import type { KubeClient } from "../client.ts";

/** The right that a caller checks for itself. An absent field means all values, or the core group. */
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
  /** Whether the user may do it. False if the API server did not answer the review. */
  readonly allowed: boolean;
  /** Why it is not allowed, if the API server says so. */
  readonly reason: string;
  /** The HTTP status of the review itself, which every user may create. */
  readonly httpStatus: number;
  readonly text: string;
}

/** A SelfSubjectAccessReview with the client's own credentials. */
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
