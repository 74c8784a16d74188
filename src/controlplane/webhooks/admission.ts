import { formatIssues } from "../../api/index.ts";
import { gatewayApiKinds } from "../../api/gateway/index.ts";
import { istioKinds } from "../../api/istio/index.ts";

/** admission.k8s.io/v1, as far as it is read here. */
export interface AdmissionReview {
  readonly request?: {
    readonly uid: string;
    readonly kind?: { readonly group: string; readonly version: string; readonly kind: string };
    readonly name?: string;
    readonly operation?: string;
    readonly object?: unknown;
  };
}

export interface AdmissionAnswer {
  readonly apiVersion: "admission.k8s.io/v1";
  readonly kind: "AdmissionReview";
  readonly response: { readonly uid: string; readonly allowed: boolean; readonly status?: { readonly code: number; readonly message: string }; readonly warnings?: readonly string[] };
}

const kinds = [...istioKinds, ...gatewayApiKinds];

const unprocessable = 422;

/** Refuses an object that its parser refuses, with every fault at its field; kinds without a parser pass. */
export function validate(review: AdmissionReview): AdmissionAnswer {
  const { request } = review;
  const kind = kinds.find((candidate) => candidate.kind === request?.kind?.kind && candidate.group === request.kind.group);
  if (request === undefined || kind?.parse === undefined || request.operation === "DELETE") return answer(review, { allowed: true });
  const parsed = kind.parse(request.object);
  const warnings = parsed.warnings.map((issue) => formatIssues([issue]));
  if (parsed.value !== undefined) return answer(review, { allowed: true, ...(warnings.length === 0 ? {} : { warnings }) });
  const name = request.name === undefined || request.name === "" ? "" : ` "${request.name}"`;
  const message = `${kind.kind}${name} is not valid:\n${formatIssues(parsed.errors)}`;
  return answer(review, { allowed: false, status: { code: unprocessable, message }, ...(warnings.length === 0 ? {} : { warnings }) });
}

function answer(review: AdmissionReview, response: Omit<AdmissionAnswer["response"], "uid">): AdmissionAnswer {
  return { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response: { uid: review.request?.uid ?? "", ...response } };
}
