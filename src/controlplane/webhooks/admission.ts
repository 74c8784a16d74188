import { formatIssues, type FieldIssue, type KindDefinition } from "../../api/index.ts";
import { gatewayApiKinds } from "../../api/gateway/index.ts";
import { envoyFilterKind, istioKinds, type EnvoyFilter } from "../../api/istio/index.ts";
import { envoyTypes } from "../envoy-types-file.ts";
import { envoyValueIssues } from "../translate/envoy-filter/value-issues.ts";
import { type AdmissionAnswer, type AdmissionReview, allow, refuse } from "../../api/admission-review/index.ts";

const kinds = [...istioKinds, ...gatewayApiKinds];

/** Refuses an object that its parser refuses, and reports each fault with its field. Allows kinds without a parser. */
export function validate(review: AdmissionReview): AdmissionAnswer {
  const { request } = review;
  const kind = kinds.find(
    (candidate) => candidate.kind === request?.kind?.kind && candidate.group === request.kind.group,
  );
  if (request === undefined || kind?.parse === undefined || request.operation === "DELETE") return allow(review);
  const parsed = kind.parse(request.object);
  const more = parsed.value === undefined ? none : moreIssues(kind, parsed.value);
  const warnings = [...parsed.warnings, ...more.warnings].map((issue) => formatIssues([issue]));
  const errors = [...parsed.errors, ...more.errors];
  if (errors.length === 0) return allow(review, { warnings });
  const name = request.name === undefined || request.name === "" ? "" : ` "${request.name}"`;
  return refuse(review, `${kind.kind}${name} is not valid:\n${formatIssues(errors)}`, warnings);
}

interface Issues {
  readonly errors: readonly FieldIssue[];
  readonly warnings: readonly FieldIssue[];
}

const none: Issues = { errors: [], warnings: [] };

/** The issues for which all of Envoy's types are needed, which the object's own parser does not load. */
function moreIssues(kind: KindDefinition, value: unknown): Issues {
  return kind.kind === envoyFilterKind.kind && kind.group === envoyFilterKind.group
    ? envoyValueIssues((value as EnvoyFilter).spec.configPatches, envoyTypes())
    : none;
}
