// The reviews of admission.k8s.io/v1: what a webhook reads of a request, and how it answers.

/** The user who sent the reviewed request (`authentication.k8s.io/v1` UserInfo). */
export interface RequestUser {
  readonly username?: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/**
 * The request's fields that Serin's webhooks read. All of them come from the sender, so any may be missing or have a
 * false value.
 */
export interface AdmissionReview {
  readonly request?: {
    readonly uid: string;
    readonly kind?: { readonly group: string; readonly version?: string; readonly kind: string };
    readonly resource?: { readonly group: string; readonly version: string; readonly resource: string };
    readonly name?: string;
    readonly namespace?: string;
    readonly operation?: string;
    readonly userInfo?: RequestUser;
    /** The object as it would be stored. Null for DELETE. */
    readonly object?: unknown;
    /** The stored object. Null for CREATE. */
    readonly oldObject?: unknown;
  };
}

/** Parses the body of a request. Throws an error if it is not an AdmissionReview. */
export function parseReview(body: Uint8Array): AdmissionReview {
  const review: unknown = JSON.parse(new TextDecoder().decode(body));
  if (typeof review !== "object" || review === null) throw new Error("the body is not an AdmissionReview");
  return review;
}

export interface AdmissionAnswer {
  readonly apiVersion: "admission.k8s.io/v1";
  readonly kind: "AdmissionReview";
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly status?: { readonly code: number; readonly message: string };
    readonly warnings?: readonly string[];
    readonly patchType?: "JSONPatch";
    /** The patch operations in base64. */
    readonly patch?: string;
  };
}

const unprocessable = 422;

/** Lets the object pass, changed by the operations of a JSON patch. */
export function allow(
  review: AdmissionReview,
  { warnings = [], patch = [] }: { readonly warnings?: readonly string[]; readonly patch?: readonly object[] } = {},
): AdmissionAnswer {
  return answer(review, warnings, {
    allowed: true,
    ...(patch.length === 0
      ? {}
      : { patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(patch)).toString("base64") }),
  });
}

/** Refuses the object. The API server shows the message to the sender. */
export function refuse(review: AdmissionReview, message: string, warnings: readonly string[] = []): AdmissionAnswer {
  return answer(review, warnings, { allowed: false, status: { code: unprocessable, message } });
}

function answer(
  { request }: AdmissionReview,
  warnings: readonly string[],
  verdict: Omit<AdmissionAnswer["response"], "uid" | "warnings">,
): AdmissionAnswer {
  return {
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    response: { uid: request?.uid ?? "", ...verdict, ...(warnings.length === 0 ? {} : { warnings }) },
  };
}
