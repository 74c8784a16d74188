/** The fields of admission.k8s.io/v1 that the webhooks use. */
export interface AdmissionReview {
  readonly request?: {
    readonly uid: string;
    readonly kind?: { readonly group: string; readonly version: string; readonly kind: string };
    readonly resource?: { readonly group: string; readonly version: string; readonly resource: string };
    readonly name?: string;
    readonly namespace?: string;
    readonly operation?: string;
    readonly object?: unknown;
  };
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

export function allow(
  review: AdmissionReview,
  more: Pick<AdmissionAnswer["response"], "warnings" | "patchType" | "patch"> = {},
): AdmissionAnswer {
  return answer(review, { allowed: true, ...more });
}

export function refuse(
  review: AdmissionReview,
  message: string,
  more: Pick<AdmissionAnswer["response"], "warnings"> = {},
): AdmissionAnswer {
  return answer(review, { allowed: false, status: { code: unprocessable, message }, ...more });
}

function answer(review: AdmissionReview, response: Omit<AdmissionAnswer["response"], "uid">): AdmissionAnswer {
  return {
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    response: { uid: review.request?.uid ?? "", ...response },
  };
}
