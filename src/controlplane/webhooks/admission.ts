import { formatIssues } from "../../api/index.ts";
import { gatewayApiKinds } from "../../api/gateway/index.ts";
import { istioKinds } from "../../api/istio/index.ts";
import { type AdmissionAnswer, type AdmissionReview, allow, refuse } from "./admission-review.ts";

const kinds = [...istioKinds, ...gatewayApiKinds];

/** Refuses an object that its parser refuses, with every fault at its field; kinds without a parser pass. */
export function validate(review: AdmissionReview): AdmissionAnswer {
  const { request } = review;
  const kind = kinds.find((candidate) => candidate.kind === request?.kind?.kind && candidate.group === request.kind.group);
  if (request === undefined || kind?.parse === undefined || request.operation === "DELETE") return allow(review);
  const parsed = kind.parse(request.object);
  const warnings = parsed.warnings.length === 0 ? {} : { warnings: parsed.warnings.map((issue) => formatIssues([issue])) };
  if (parsed.value !== undefined) return allow(review, warnings);
  const name = request.name === undefined || request.name === "" ? "" : ` "${request.name}"`;
  return refuse(review, `${kind.kind}${name} is not valid:\n${formatIssues(parsed.errors)}`, warnings);
}
